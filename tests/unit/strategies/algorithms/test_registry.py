"""Algorithms by name, and what they can be combined with."""

import pytest

from fedge import strategies
from fedge.errors import ConfigError
from fedge.strategies import algorithms
from fedge.training import Plan


def test_specs_say_parameters_and_defaults() -> None:
    assert algorithms.SPECS == (
        "fedavg", "fedprox[:mu=0.1]", "scaffold", "feddyn[:alpha=0.1]", "fednova",
        "ditto[:lam=0.1]",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("moon", "unknown algorithm 'moon': the known ones are ditto, fedavg, feddyn, fednova,"),
        ("fedprox:nu=1", "algorithm fedprox has no parameter 'nu': it has mu"),
        ("fedprox:mu=x", "algorithm fedprox: mu must be a number, not 'x'"),
        ("fedprox:mu=-1", "algorithm fedprox: mu must be 0 to 1000, not -1"),
        ("feddyn:alpha=0", "algorithm feddyn: alpha must be 1e-06 to 1000, not 0"),
        ("ditto:nan", "algorithm ditto: lam must be 0 to 1000, not nan"),
        ("scaffold:1", "algorithm scaffold has no parameter '1': it has none"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(spec: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        algorithms.get(spec)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    ("spec", "strategy", "plan"),
    [
        ("scaffold", "mean/fedadam:lr=0.01", Plan(momentum=0.9, clip_norm=1.0, proximal=0.1)),
        ("feddyn", "mean", Plan(momentum=0.9, clip_norm=1.0)),
        ("fednova", "fedadam", Plan(momentum=0.9, proximal=0.1)),
        ("fedprox", "fedadam", Plan()),
        ("ditto", "fedadam", Plan(proximal=0.1)),
    ],
)
def test_what_goes_together_is_allowed(spec: str, strategy: str, plan: Plan) -> None:
    algorithms.check(algorithms.get(spec), strategies.get(strategy), plan)


@pytest.mark.parametrize(
    ("spec", "strategy", "plan", "sentence"),
    [
        ("feddyn", "fedadam", Plan(), "needs the optimizer fedavg with lr 1"),
        ("feddyn", "fedavg:lr=0.5", Plan(), "needs the optimizer fedavg with lr 1"),
        ("feddyn", "fedavg", Plan(proximal=0.5), "leave proximal at 0, not 0.5"),
        ("fedprox", "fedavg", Plan(proximal=0.5), "leave proximal at 0, not 0.5"),
    ],
)
def test_other_combinations_are_refused(
    spec: str, strategy: str, plan: Plan, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        algorithms.check(algorithms.get(spec), strategies.get(strategy), plan)


@pytest.mark.parametrize("spec", ["scaffold", "feddyn"])
def test_what_keeps_a_vector_goes_with_the_mean_alone(spec: str) -> None:

    strategy = strategies.get("median")
    with pytest.raises(ConfigError, match="needs the rule mean"):
        algorithms.check(algorithms.get(spec), strategy, Plan())
