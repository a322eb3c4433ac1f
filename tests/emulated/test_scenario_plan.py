"""Scenarios as data: all of ours can be read, and nothing else is taken for one."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedge.errors import ConfigError
from firmware_sim.cli.main import main
from firmware_sim.scenario import program
from firmware_sim.scenario.ledger import Kept, follow
from firmware_sim.scenario.plan import Scenario, find, known

pytestmark = pytest.mark.emulated
_OLD, _NEW = "a" * 64, "b" * 64


def test_every_scenario_that_comes_with_the_harness_can_be_read() -> None:
    assert len(known()) >= 12
    for name in known():
        assert find(name).claim


def test_an_unknown_name_is_refused_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["scenario", "meteorite"]) == ConfigError.exit_code
    assert "choose from broker-moved" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("rounds = 0", "1 to 100"),
        ("memory_mb = 1", "64 to 3072"),
        ("fault = 'meteorite'", "expected one of none, cuts"),
        ("board = 'pi9'", "no board 'pi9'"),
        ("clock = 'yesterday'", "expected a time such as"),
        ("clock = '2019-01-31T12:00:00Z; reboot'", "expected a time such as"),
        ("loss_percent = nan", "expected a number"),
        ("surprise = 1", "key 'surprise'"),
        ("rounds = [", "expected TOML"),
    ],
)
def test_a_file_that_is_no_scenario_is_refused_in_a_sentence(
    tmp_path: Path, line: str, complaint: str
) -> None:
    file = tmp_path / "own.toml"
    file.write_text(f"title = 'a'\nclaim = 'b'\n{line}\n")
    with pytest.raises(ConfigError, match=complaint):
        find(str(file))


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200))
def test_no_bytes_are_worse_than_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "own.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError):
        find(str(file))


def test_a_clock_is_read_as_utc() -> None:
    scenario = Scenario(title="a", claim="b", clock="1970-01-02T00:00:01")
    assert scenario.clock_s() == 86_401


@pytest.mark.parametrize("place", program.PLACES.values())
def test_each_place_where_the_power_fails_exists_in_the_runtime(place: tuple[str, str]) -> None:
    owner, attribute = program.resolve(place[0])
    assert callable(getattr(owner, attribute))


def test_a_transaction_that_returned_must_be_there_and_one_under_way_may_be() -> None:
    log = f"noise\noutbox put 3 aa {_NEW}\n"
    told = follow(Kept(residual=_OLD), log)
    assert told.done == Kept(residual=_OLD)
    assert told.possible == Kept(frozenset({"aa"}), _NEW)
    told = follow(Kept(residual=_OLD), f"{log}outbox has-put 3 aa {_NEW}\n")
    assert told.done == told.possible == Kept(frozenset({"aa"}), _NEW)
    assert told.rounds == {"aa": 3}


def test_an_accepted_update_leaves_the_outbox_and_its_residual_stays() -> None:
    before = Kept(frozenset({"aa", "cc"}), _OLD)
    told = follow(
        before, "outbox accept - aa -\noutbox has-accepted - aa -\noutbox refuse - cc -\n"
    )
    assert told.done == Kept(frozenset({"cc"}), _OLD)
    assert told.accepted == {"aa"}
    assert told.n_refused == 1
