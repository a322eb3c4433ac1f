"""Specs: what they name, what completes them, and what is refused with which sentence."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedge import strategies
from fedge.errors import ConfigError
from fedge.strategies import (
    RULES,
    SPECS,
    FedAdam,
    FedAvg,
    FedAvgM,
    Mean,
    Strategy,
    get,
    optimizer_name,
)
from fedge.strategies.parameters import form
from fedge.strategies.registry import Registry
from fedge.strategies.rules import (
    Bucketing,
    Chain,
    Clip,
    FLTrust,
    Median,
    NearestNeighborMixing,
    TrimmedMean,
)

KNOWN = "fedadagrad, fedadam, fedavg, fedavgm, fedyogi"
LATER = Registry(
    rules={"mean": Mean, "median": Median, "trimmed_mean": TrimmedMean},
    optimizers={"fedavg": FedAvg, "fedavgm": FedAvgM},
    pre_aggregators={"nnm": NearestNeighborMixing, "bucketing": Bucketing},
)


NAMED = ", ".join(sorted(one.partition(":")[0].partition("[")[0] for one in RULES))
ONE_OR_A_SHARE = "f must be a whole number from 1 to 1000, or a share of the cohort below 0.5"


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        ("fltrust", Strategy(FLTrust(), FedAvg())),
        (
            "clip:2+nnm+trimmed_mean:0.2/fedadam",
            Strategy(
                Chain((Clip(c=2.0), NearestNeighborMixing(f=0.2)), TrimmedMean(f=0.2)), FedAdam()
            ),
        ),
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
        name, whole = (text.replace("=N", "=1") for text in (spec.partition("[")[0], spec))
        assert get(name) == get(whole.replace("[", "").replace("]", ""))
        assert spec in strategies.HELP


def test_a_form_says_what_must_be_given_and_what_may_be_left_out() -> None:
    assert form("trimmed_mean", TrimmedMean) == "trimmed_mean:f=N"
    assert form("fedavgm", FedAvgM) == "fedavgm[:lr=1,beta=0.9]"
    assert form("mean", Mean) == "mean"


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        (
            "nnm+trimmed_mean:f=3/fedavgm",
            Strategy(Chain((NearestNeighborMixing(f=3),), TrimmedMean(f=3)), FedAvgM()),
        ),
        (
            "bucketing:s=2+nnm:f=1+trimmed_mean:f=2",
            Strategy(
                Chain((Bucketing(s=2), NearestNeighborMixing(f=1)), TrimmedMean(f=2)),
                FedAvg(),
            ),
        ),
        ("trimmed_mean:3", Strategy(TrimmedMean(f=3), FedAvg())),
        (
            "nnm+trimmed_mean:3",
            Strategy(Chain((NearestNeighborMixing(f=3),), TrimmedMean(f=3)), FedAvg()),
        ),
        ("median/fedavgm:lr=0.5", Strategy(Median(), FedAvgM(lr=0.5))),
        ("nnm:f=1+mean", Strategy(Chain((NearestNeighborMixing(f=1),), Mean()), FedAvg())),
    ],
)
def test_the_grammar_says_what_is_to_come(spec: str, want: Strategy) -> None:
    assert LATER.get(spec) == want


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("", f"unknown strategy '': the rules are {NAMED}, the optimizers {KNOWN}"),
        ("krun", f"unknown strategy 'krun': the rules are {NAMED}, the optimizers {KNOWN}"),
        ("krun/fedavg", f"unknown rule 'krun': the known ones are {NAMED}"),
        ("/fedavg", f"unknown rule '': the known ones are {NAMED}"),
        ("mean/", f"unknown optimizer '': the known ones are {KNOWN}"),
        ("mean/adam", f"unknown optimizer 'adam': the known ones are {KNOWN}"),
        (
            "fedavg/mean",
            f"unknown optimizer 'mean': the known ones are {KNOWN}; mean is a rule",
        ),
        ("fedavg/fedavg", f"unknown rule 'fedavg': the known ones are {NAMED}; fedavg is an opt"),
        (
            "mean/fedavg/",
            "strategy 'mean/fedavg/': expected rule/optimizer with one slash, found 2",
        ),
        (
            "mean+mean",
            "unknown pre-aggregator 'mean': the known ones are arc, bucketing, clip, nnm",
        ),
        ("krum", "rule krum needs f: write f=NUMBER after a colon"),
        ("clip+mean", "pre-aggregator clip needs c: write c=NUMBER after a colon"),
        ("clip:c=0+mean", "pre-aggregator clip: c must be 1e-09 to 1e+09, not 0"),
        ("bucketing:s=1.5+mean", "pre-aggregator bucketing: s must be a whole number, not '1.5'"),
        ("centered_clipping:tau=nan", "rule centered_clipping: tau must be 1e-09 to 1e+09"),
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
        ("trimmed_mean:f=two", "rule trimmed_mean: f must be a number, not 'two'"),
        ("trimmed_mean:f=0", f"rule trimmed_mean: {ONE_OR_A_SHARE}, not 0"),
        ("trimmed_mean:f=0.5", f"rule trimmed_mean: {ONE_OR_A_SHARE}, not 0.5"),
        ("trimmed_mean:f=2.5", f"rule trimmed_mean: {ONE_OR_A_SHARE}, not 2.5"),
        ("trimmed_mean:f=nan", f"rule trimmed_mean: {ONE_OR_A_SHARE}, not nan"),
        ("nnm:f=-1+median", f"pre-aggregator nnm: {ONE_OR_A_SHARE}, not -1"),
        (f"trimmed_mean:f={10**400}", f"rule trimmed_mean: {ONE_OR_A_SHARE}, not inf"),
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
