"""Specs: what they name, what completes them, and what is refused with which sentence."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedge import strategies
from fedge.errors import ConfigError
from fedge.strategies import SPECS, FedAdam, FedAvg, FedAvgM, Mean, Strategy, get, optimizer_name
from fedge.strategies.limits import require_range
from fedge.strategies.parameters import form
from fedge.strategies.registry import Registry
from fedge.strategies.rules import Chain
from tests.support import rules_to_come as to_come

KNOWN = "fedadagrad, fedadam, fedavg, fedavgm, fedyogi"


@dataclass(frozen=True, slots=True)
class Trimmed(to_come.TrimmedMean):
    """As a rule with a parameter of its own will be: it refuses what is out of range."""

    def __post_init__(self) -> None:
        require_range("rule trimmed_mean", "f", self.f, low=1, high=1000)


LATER = Registry(
    rules={"mean": Mean, "median": to_come.CoordinateMedian, "trimmed_mean": Trimmed},
    optimizers={"fedavg": FedAvg, "fedavgm": FedAvgM},
    pre_aggregators={"nnm": to_come.NearestNeighborMixing, "bucketing": to_come.Bucketing},
)


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        ("fedavg", Strategy(Mean(), FedAvg())),
        ("mean", Strategy(Mean(), FedAvg())),
        ("fedadam:lr=0.01", Strategy(Mean(), FedAdam(lr=0.01))),
        ("fedadam:0.01", Strategy(Mean(), FedAdam(lr=0.01))),
        ("mean/fedadam:lr=0.01", Strategy(Mean(), FedAdam(lr=0.01))),
        ("mean/fedavg:lr=1e+2", Strategy(Mean(), FedAvg(lr=100.0))),
        (
            "fedadam:0.1,beta1=0.9,beta2=0.99,tau=0.001",
            Strategy(Mean(), FedAdam(lr=0.1, beta1=0.9, beta2=0.99, tau=0.001)),
        ),
    ],
)
def test_a_spec_names_rule_and_optimizer_and_a_default_completes_it(
    spec: str, want: Strategy
) -> None:
    assert get(spec) == want


def test_every_form_that_help_lists_is_a_spec() -> None:
    for spec in SPECS:
        name = spec.partition("[")[0]
        assert get(name) == get(spec.replace("[", "").replace("]", ""))
        assert spec in strategies.HELP


def test_a_form_says_what_must_be_given_and_what_may_be_left_out() -> None:
    assert form("trimmed_mean", Trimmed) == "trimmed_mean:f=N"
    assert form("fedavgm", FedAvgM) == "fedavgm[:lr=1,beta=0.9]"
    assert form("mean", Mean) == "mean"


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        (
            "nnm+trimmed_mean:f=3/fedavgm",
            Strategy(Chain((to_come.NearestNeighborMixing(f=3),), Trimmed(f=3)), FedAvgM()),
        ),
        (
            "bucketing:s=2+nnm:f=1+trimmed_mean:f=2",
            Strategy(
                Chain((to_come.Bucketing(s=2), to_come.NearestNeighborMixing(f=1)), Trimmed(f=2)),
                FedAvg(),
            ),
        ),
        ("trimmed_mean:3", Strategy(Trimmed(f=3), FedAvg())),
        (
            "nnm+trimmed_mean:3",
            Strategy(Chain((to_come.NearestNeighborMixing(f=3),), Trimmed(f=3)), FedAvg()),
        ),
        ("median/fedavgm:lr=0.5", Strategy(to_come.CoordinateMedian(), FedAvgM(lr=0.5))),
        ("nnm:f=1+mean", Strategy(Chain((to_come.NearestNeighborMixing(f=1),), Mean()), FedAvg())),
    ],
)
def test_the_grammar_says_what_is_to_come(spec: str, want: Strategy) -> None:
    assert LATER.get(spec) == want


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (
            "",
            f"unknown strategy '': the rules are mean, the optimizers {KNOWN}",
        ),
        (
            "krum",
            f"unknown strategy 'krum': the rules are mean, the optimizers {KNOWN}",
        ),
        ("krum/fedavg", "unknown rule 'krum': the known ones are mean"),
        ("/fedavg", "unknown rule '': the known ones are mean"),
        (
            "mean/",
            f"unknown optimizer '': the known ones are {KNOWN}",
        ),
        (
            "mean/adam",
            f"unknown optimizer 'adam': the known ones are {KNOWN}",
        ),
        (
            "fedavg/mean",
            f"unknown optimizer 'mean': the known ones are {KNOWN}; mean is a rule",
        ),
        ("fedavg/fedavg", "unknown rule 'fedavg': the known ones are mean; fedavg is an optimizer"),
        (
            "mean/fedavg/",
            "strategy 'mean/fedavg/': expected rule/optimizer with one slash, found 2",
        ),
        ("nnm+mean", "unknown pre-aggregator 'nnm': this release has none"),
        ("mean:0.2", "rule mean has no parameter '0.2': it has none"),
        (
            "fedadam:eta=1",
            "optimizer fedadam has no parameter 'eta': it has beta1, beta2, bias_correction, lr",
        ),
        ("fedadam:0.1,0.9", "optimizer fedadam has no parameter '0.9': it has beta1"),
        ("fedadam:", "optimizer fedadam: lr must be a number, not ''"),
        ("fedadam:lr=fast", "optimizer fedadam: lr must be a number, not 'fast'"),
        ("fedadam:0.1,lr=0.2", "optimizer fedadam: lr is given twice"),
        ("mean/fedadam:beta1=1", "optimizer fedadam: beta1 must be 0 to 0.999999, not 1"),
        ("fedadam:tau=nan", "optimizer fedadam: tau must be 1e-18 to 1000, not nan"),
        ("fedavg:lr=inf", "optimizer fedavg: lr must be 1e-06 to 1000, not inf"),
    ],
)
def test_a_bad_spec_is_refused_with_what_is_known(spec: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        get(spec)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("trimmed_mean", "rule trimmed_mean needs f: write f=NUMBER after a colon"),
        ("nnm+median", "pre-aggregator nnm needs f: write f=NUMBER after a colon"),
        ("trimmed_mean:f=0.2", "rule trimmed_mean: f must be a whole number, not '0.2'"),
        ("trimmed_mean:f=0", "rule trimmed_mean: f must be 1 to 1000, not 0"),
        (f"trimmed_mean:f={10**400}", "rule trimmed_mean: f must be a whole number, not '1000"),
        ("nnm", "unknown rule 'nnm': the known ones are mean, median, trimmed_mean; nnm is a pre-"),
        (
            "mean+median",
            "unknown pre-aggregator 'mean': the known ones are bucketing, nnm; mean is a rule",
        ),
    ],
)
def test_a_bad_rule_with_parameters_is_refused_too(spec: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LATER.get(spec)
    assert str(caught.value).startswith(sentence)


NAMES = ("mean", "median", "trimmed_mean", "nnm", "bucketing", "fedavg", "fedavgm", "fedadam")
SIGNS = ("f", "s", "lr", "=", ":", ",", "/", "+", "1", "0.5", "e", "-", "9" * 400, "\n", "nan")
texts = st.text() | st.lists(st.sampled_from(NAMES + SIGNS), max_size=9).map("".join)


def outcome(read: Callable[[str], Strategy], text: str) -> Strategy | str:
    try:
        return read(text)
    except ConfigError as error:
        return str(error)


@given(texts)
@example("mean+")
@example("+/")
@example(":=,")
@example("trimmed_mean:f=1_0/fedavgm:lr=\u0661")
def test_any_text_is_a_strategy_or_refused_in_one_line(text: str) -> None:
    for read in (get, LATER.get):
        found = outcome(read, text)
        assert isinstance(found, Strategy) or len(found.splitlines()) == 1


def test_one_name_never_means_two_things() -> None:
    with pytest.raises(ValueError, match="two strategies are called mean"):
        Registry(rules={"mean": Mean}, optimizers={"mean": FedAvg})


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("fedadam", "fedadam"),
        ("fedadam:lr=0.1", "fedadam"),
        ("mean/fedadam:lr=0.1", "fedadam"),
        ("krum:f=1/fedyogi:lr=0.1", "fedyogi"),  # of another release
        ("fedyogi:lr=0.1", "fedyogi"),
        ("mean", "fedavg"),
    ],
)
def test_whose_memory_is_kept_is_the_optimizers_name(spec: str, name: str) -> None:
    assert optimizer_name(spec) == name
