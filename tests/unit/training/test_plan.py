"""The plan."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.errors import ConfigError, PayloadError
from fedge.training import Plan

plans = st.builds(
    lambda in_steps, amount, **rest: Plan(
        **{"local_steps" if in_steps else "epochs": amount}, **rest
    ),
    st.booleans(),
    st.integers(1, 10_000),
    batch_size=st.integers(1, 2**16),
    lr=st.floats(1e-9, 1e3),
    momentum=st.floats(0, 0.999),
    weight_decay=st.floats(0, 1e3),
    proximal=st.floats(0, 1e3),
    clip_norm=st.none() | st.floats(1e-9, 1e9),
    codec=st.text(min_size=1, max_size=64),
    seed=st.integers(0, 2**63 - 1),
)


def test_a_plan_is_one_epoch_by_default() -> None:
    assert (Plan().epochs, Plan().local_steps) == (1, None)
    assert (Plan(local_steps=5).epochs, Plan(local_steps=5).local_steps) == (None, 5)


def test_steps_are_counted_with_the_short_last_batch() -> None:
    assert Plan(epochs=3, batch_size=4).n_steps(9) == 9
    assert Plan(epochs=1, batch_size=4).n_steps(8) == 2
    assert Plan(local_steps=7, batch_size=4).n_steps(1) == 7


@given(plans)
def test_a_plan_survives_the_wire(plan: Plan) -> None:
    assert Plan.from_wire(plan.to_wire()) == plan


BAD = [
    {"local_steps": 1, "epochs": 1},
    {"local_steps": 0},
    {"local_steps": 10**6 + 1},
    {"epochs": -1},
    {"epochs": 1.0},
    {"epochs": True},
    {"batch_size": 0},
    {"batch_size": None},
    {"lr": 0.0},
    {"lr": -1.0},
    {"lr": float("nan")},
    {"lr": float("inf")},
    {"lr": "0.1"},
    {"momentum": 1.0},
    {"momentum": -0.1},
    {"weight_decay": -1e-9},
    {"proximal": 1e9},
    {"clip_norm": 0.0},
    {"clip_norm": float("nan")},
    {"codec": ""},
    {"codec": "x" * 65},
    {"codec": 3},
    {"seed": -1},
    {"seed": 2**63},
    {"algorithm": ""},
    {"algorithm": 7},
    {"validation": 1.0},
    {"validation": -0.1},
]


@pytest.mark.parametrize("changes", BAD)
def test_settings_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^plan: "):
        Plan(**changes)


@pytest.mark.parametrize("changes", BAD)
def test_a_hostile_plan_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(PayloadError, match=r"^plan: "):
        Plan.from_wire(Plan().to_wire() | changes)


def test_a_plan_with_a_field_missing_is_refused() -> None:
    record = Plan().to_wire()
    del record["lr"]
    with pytest.raises(PayloadError, match="lr"):
        Plan.from_wire(record)


def test_a_plan_that_asks_for_nothing_new_is_the_plan_of_older_releases() -> None:
    """They refuse a plan with a field that they do not know."""
    assert sorted(Plan(lr=0.5).to_wire()) == [
        "batch_size", "clip_norm", "codec", "epochs", "local_steps",
        "lr", "momentum", "proximal", "seed", "weight_decay",
    ]  # fmt: skip
    assert Plan(algorithm="scaffold", validation=0.1).to_wire().items() >= {
        ("algorithm", "scaffold"),
        ("validation", 0.1),
    }


def test_a_field_of_a_later_release_is_ignored() -> None:
    assert Plan.from_wire(Plan(lr=0.5).to_wire() | {"invented": [1, 2]}) == Plan(lr=0.5)
