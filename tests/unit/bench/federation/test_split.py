"""How examples are dealt out: every one has one owner, and the papers' splits are theirs."""

import numpy as np
import pytest

from fedge.bench.federation.split import by_dirichlet, by_owner, by_shards
from fedge.errors import DataError
from fedge.types import Array

TARGETS = np.arange(1000) % 10


def entropy(parts: list[Array]) -> float:
    """Mean entropy of the devices' classes, in nats."""
    total = 0.0
    for part in parts:
        shares = np.bincount(TARGETS[part], minlength=10) / len(part)
        total -= float((shares[shares > 0] * np.log(shares[shares > 0])).sum())
    return total / len(parts)


@pytest.mark.parametrize("alpha", [100, 0.5, 0.03])
def test_every_example_has_one_owner_and_no_device_is_empty(alpha: float) -> None:
    parts = by_dirichlet(TARGETS, 50, alpha, seed=0)
    assert sorted(np.concatenate(parts)) == list(range(1000))
    assert all(len(part) for part in parts)


def test_a_small_alpha_leaves_devices_few_classes_and_a_large_one_all() -> None:
    alike, unlike = (by_dirichlet(TARGETS, 50, alpha, seed=0) for alpha in (1000, 0.03))
    assert len(alike) == 50
    assert entropy(alike) > 2.0  # of log(10) = 2.3
    assert entropy(unlike) < 0.7


def test_two_shards_hold_two_classes_and_devices_have_equally_many() -> None:
    """1 000 examples of ten classes in 20 shards of 50: a shard never spans two classes."""
    parts = by_shards(TARGETS, 10, seed=3)
    assert sorted(np.concatenate(parts)) == list(range(1000))
    assert {len(part) for part in parts} == {100}
    assert all(len(np.unique(TARGETS[part])) <= 2 for part in parts)


def test_shards_need_two_examples_for_each_device() -> None:
    with pytest.raises(DataError, match="at least 12"):
        by_shards(TARGETS[:11], 6, seed=0)


def test_owners_keep_what_is_theirs() -> None:
    client = np.array([7, 3, 7, 9, 3])
    assert [part.tolist() for part in by_owner(client)] == [[1, 4], [0, 2], [3]]
