"""`fedge aggregate` against a real broker: whole jobs, signals, kills."""

import json
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from fedge.aggregator import open_registry
from fedge.aggregator.state.folder import StateFolder
from fedge.messages import Reason
from fedge.messages.identity import SETTLED_S
from tests.support.aggregator_process import AggregatorProcess, ScriptedFleet
from tests.support.broker import Broker
from tests.support.laws import check_laws
from tests.support.models import softmax
from tests.support.plain import plain_models
from tests.support.scripted import scripted_payload

pytestmark = pytest.mark.broker

ARTIFACT = softmax(n_in=20_000)  # an update has four chunks
NAMES = ("ann", "bob", "cid")
STRATEGY = "fedadam:lr=0.05"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def a_job(
    stack: ExitStack, folder: Path, url: str, **flags: object
) -> tuple[AggregatorProcess, ScriptedFleet]:
    process = AggregatorProcess(
        folder, url, ARTIFACT, codec="none", quorum=3, **{"wait-for": 3, **flags}
    )
    stack.callback(process.close)
    fleet = ScriptedFleet(url, ARTIFACT, NAMES)
    stack.callback(fleet.close)
    return process, fleet


def undisturbed_model(n_rounds: int, strategy: str) -> tuple[bytes, bytes]:
    """What the scripted updates make of the first model, and what devices hold of it."""
    model, held = plain_models(ARTIFACT, [NAMES] * n_rounds, strategy=strategy)[-1]
    return model.astype("<f4").tobytes(), held.astype("<f4").tobytes()


def check_outcome(folder: Path, n_rounds: int, strategy: str, *, keep_models: int = 20) -> None:
    """All updates accepted and applied, each once; the models are those of an undisturbed run."""
    state = folder / "state"
    check_laws(state, keep_models=keep_models)
    with sqlite3.connect(state / "state.sqlite3") as db:
        found = db.execute(
            "SELECT round, group_concat(device), count(applied_in) FROM "
            "(SELECT * FROM update_ ORDER BY round, device) GROUP BY round"
        ).fetchall()
    assert found == [(r, ",".join(NAMES), 3) for r in range(1, n_rounds + 1)]
    registry = open_registry(state)
    latest = registry.latest()
    assert latest.version == n_rounds
    held = StateFolder(state).read_held(latest)
    both = registry.parameters(latest).tobytes(), held.tobytes()
    assert both == undisturbed_model(n_rounds, strategy)


def rounds_in_events(folder: Path) -> list[int]:
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [line["round"] for line in lines if line["event"] == "round"]


def test_a_whole_job_on_any_broker(any_broker: Broker, tmp_path: Path, stack: ExitStack) -> None:
    process, fleet = a_job(stack, tmp_path, any_broker.url, rounds=3)
    process.start()
    assert fleet.play(lambda: process.exit_code is not None), process.log
    assert process.exit_code == 0
    assert fleet.play(fleet.have_finished, timeout_s=5)
    check_outcome(tmp_path, 3, "fedavg")
    result = json.loads((tmp_path / "result.json").read_text())
    latest = open_registry(tmp_path / "state").latest()
    assert result["is_finished"]
    assert result["rounds"] == 3
    assert result["model_sha256"] == latest.sha256.hex()
    assert result["float32_uplink_bytes"] == 9 * 4 * ARTIFACT.n_trainable
    assert result["uplink_bytes"] >= 9 * len(scripted_payload(ARTIFACT, "ann", 1))
    assert "python" in result["versions"]
    process.start()
    assert process.wait() == 0
    assert "is finished; the devices will be told once more" in process.log


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_instant_it_loses_nothing_and_counts_nothing_twice(
    any_broker: Broker, tmp_path: Path, stack: ExitStack, seed: int
) -> None:
    n_rounds, dice = 6, np.random.default_rng(seed)
    process, fleet = a_job(stack, tmp_path, any_broker.url, rounds=n_rounds, strategy=STRATEGY)
    process.start()
    for _ in range(6):
        n_before = _n_updates(tmp_path)
        goal = n_before + int(dice.integers(1, 5))
        fleet.play(_reached(tmp_path, goal, process))
        fleet.play(lambda: False, timeout_s=dice.uniform(0, 0.05))
        if process.exit_code is not None:
            break
        process.kill()
        check_laws(tmp_path / "state")
        process.start()
    assert fleet.play(lambda: process.exit_code is not None, timeout_s=60), process.log
    assert process.exit_code == 0, process.log
    assert process.n_starts > 2
    check_outcome(tmp_path, n_rounds, STRATEGY)
    assert rounds_in_events(tmp_path) == list(range(1, n_rounds + 1))
    for device in fleet.devices:
        assert [r.reason for r in device.refusals if r.reason is not Reason.LATE] == []


def _n_updates(folder: Path) -> int:
    path = folder / "state" / "state.sqlite3"
    if not path.exists():
        return 0
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as db:
        try:
            (n,) = db.execute("SELECT count(*) FROM update_").fetchone()
        except sqlite3.OperationalError:
            return 0  # the tables are not there yet
    return int(n)


def _reached(folder: Path, goal: int, process: AggregatorProcess) -> Callable[[], bool]:
    return lambda: process.exit_code is not None or _n_updates(folder) >= goal


CRASHES = [
    "fedge.aggregator.state.store:Store.accept",
    "fedge.aggregator.state.update_table:insert_updates",
    "fedge.aggregator.state.update_table:apply_updates",
    "fedge.aggregator.state.verdict_table:write_verdicts",
    "fedge.aggregator.rounds.judging:judge",
    "fedge.aggregator.state.store:Store.open_round",
    "fedge.aggregator.state.store:Store.close_round",
    "fedge.aggregator.models.model:keep",
    "fedge.aggregator.state.folder:StateFolder.put_held",
    "fedge.aggregator.state.folder:StateFolder.forget_held",
    "fedge.aggregator.state.folder:StateFolder.forget_models",
    "fedge.aggregator.link.session:Session.reply",
    "fedge.aggregator.link.session:Session.tell",
    "fedge.aggregator.reporting.log:Reporter.closed",
    "fedge.aggregator.state.store:Store.announce",
    "fedge.aggregator.state.store:Store.begin",
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("place", CRASHES)
def test_killed_at_every_seam_it_goes_on(
    any_broker: Broker, tmp_path: Path, stack: ExitStack, place: str, when: str
) -> None:
    flags = {"strategy": STRATEGY, "keep-models": 1}
    process, fleet = a_job(stack, tmp_path, any_broker.url, rounds=2, **flags)
    process.start_to_crash(place, when)
    assert fleet.play(lambda: process.exit_code is not None), process.log
    assert process.exit_code == -signal.SIGKILL, process.log
    if place.endswith("Store.begin"):
        check_empty_or_begun(tmp_path / "state")
    else:
        check_laws(tmp_path / "state", keep_models=1)
    process.start()
    assert fleet.play(lambda: process.exit_code is not None), process.log
    assert process.exit_code == 0, process.log
    check_outcome(tmp_path, 2, STRATEGY, keep_models=1)
    assert len(list((tmp_path / "state" / "models").glob("*.f32"))) == 1
    assert rounds_in_events(tmp_path) == [1, 2]
    assert fleet.play(fleet.have_finished, timeout_s=5)
    assert [sorted(device.accepted) for device in fleet.devices] == [[1, 2]] * 3


def check_empty_or_begun(state: Path) -> None:
    with sqlite3.connect(state / "state.sqlite3") as db:
        counts = db.execute("SELECT (SELECT count(*) FROM job), (SELECT count(*) FROM model)")
        assert counts.fetchone() in {(0, 0), (1, 1)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_and_the_state_is_kept(
    any_broker: Broker, tmp_path: Path, stack: ExitStack, number: int
) -> None:
    process, fleet = a_job(stack, tmp_path, any_broker.url, rounds=1000)
    process.start()
    assert fleet.play(_reached(tmp_path, 2, process))
    assert process.kill(number) == 0, process.log
    assert "stopped; start it again to continue where it left off" in process.log
    assert not json.loads((tmp_path / "result.json").read_text())["is_finished"]
    n_rounds = open_registry(tmp_path / "state").latest().version + 1
    process.start("--rounds", str(n_rounds))
    assert fleet.play(lambda: process.exit_code is not None), process.log
    check_outcome(tmp_path, n_rounds, "fedavg")


def test_a_broker_killed_in_the_middle_changes_nothing(
    any_broker: Broker, tmp_path: Path, stack: ExitStack
) -> None:
    process, fleet = a_job(stack, tmp_path, any_broker.url, rounds=4)
    process.start()
    assert fleet.play(_reached(tmp_path, 2, process))
    any_broker.kill()
    fleet.play(lambda: False, timeout_s=0.3)
    any_broker.restart()
    assert fleet.play(lambda: process.exit_code is not None, timeout_s=60), process.log
    assert process.exit_code == 0, process.log
    check_outcome(tmp_path, 4, "fedavg")


def test_a_second_aggregator_for_the_same_job_stops_with_exit_code_9(
    any_broker: Broker, tmp_path: Path, stack: ExitStack
) -> None:
    process, fleet = a_job(stack, tmp_path, any_broker.url, rounds=1)
    process.start("--quorum", "4")
    assert fleet.play(_reached(tmp_path, 3, process))
    fleet.play(lambda: False, timeout_s=SETTLED_S)
    (tmp_path / "second").mkdir()
    second = AggregatorProcess(tmp_path / "second", any_broker.url, ARTIFACT)
    stack.callback(second.close)
    second.start()
    assert second.wait() == 9
    *_, last = second.log.strip().splitlines()
    assert last == (
        "fedge: job 'default' of fleet 'default' is run by another aggregator; "
        "give this one another --job, or stop the other first"
    )
    assert process.exit_code is None
    assert _n_updates(tmp_path / "second") == 0


def test_a_broker_that_is_not_there_is_waited_for_and_then_named(
    tmp_path: Path, stack: ExitStack
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"mqtt://127.0.0.1:{free.getsockname()[1]}"
    process = AggregatorProcess(tmp_path, url, ARTIFACT, **{"connect-timeout-s": 1})
    stack.callback(process.close)
    process.start()
    assert process.wait() == 7
    lines = process.log.strip().splitlines()
    first, last = (line for line in lines if " DEBUG " not in line)  # one warning for all tries
    assert "WARNING" in first
    assert "no broker: nobody answers at" in first
    assert last.startswith("fedge: no broker answered for 1 s: ")


def test_a_full_disk_is_one_sentence_and_its_exit_code(
    any_broker: Broker, tmp_path: Path, stack: ExitStack
) -> None:
    process, fleet = a_job(stack, tmp_path, any_broker.url, rounds=50)
    process.start_with_little_disk(2_500_000)
    assert fleet.play(lambda: process.exit_code is not None), process.log
    assert process.exit_code == 8, process.log
    *_, last = process.log.strip().splitlines()
    assert last.startswith("fedge: cannot write ")
    check_laws(tmp_path / "state")
    n_rounds = open_registry(tmp_path / "state").latest().version
    process.start("--rounds", str(n_rounds + 1))
    assert fleet.play(lambda: process.exit_code is not None), process.log
    check_outcome(tmp_path, n_rounds + 1, "fedavg")


def test_a_damaged_artifact_is_one_sentence(tmp_path: Path, stack: ExitStack) -> None:
    process = AggregatorProcess(tmp_path, "mqtt://127.0.0.1:1", ARTIFACT)
    stack.callback(process.close)
    data = bytearray((tmp_path / "model.fedge").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "model.fedge").write_bytes(data)
    process.start()
    assert process.wait() == 4
    assert len(process.log.strip().splitlines()) == 1


def test_undisturbed_models_differ_from_the_first_one() -> None:
    for moved in undisturbed_model(1, "fedavg"):
        assert np.abs(np.frombuffer(moved, "<f4") - ARTIFACT.parameters).max() > 0.1
