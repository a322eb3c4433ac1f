"""The order of examples."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedge.training import sampling


def taken(n_examples: int, batch_size: int, seed: int, n_batches: int) -> list[list[int]]:
    batches = itertools.islice(sampling.batches(n_examples, batch_size, seed), n_batches)
    return [batch.tolist() for batch in batches]


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 2**63 - 1))
def test_an_epoch_contains_every_example_once(n: int, batch_size: int, seed: int) -> None:
    per_epoch = -(-n // batch_size)
    batches = taken(n, batch_size, seed, 3 * per_epoch)
    for epoch in range(3):
        part = batches[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert [len(batch) for batch in part[:-1]] == [batch_size] * (per_epoch - 1)
        assert sorted(itertools.chain(*part)) == list(range(n))


def test_the_order_of_a_seed_never_changes() -> None:
    """PCG64 and 53-bit doubles are fixed by NumPy."""
    uniforms = [0.6251, 0.8972, 0.7757, 0.2252, 0.3002, 0.8736]  # default_rng(7).random(6), rounded
    np.testing.assert_allclose(np.random.default_rng(7).random(6), uniforms, atol=5e-5)
    assert taken(6, 4, 7, 2) == [[3, 4, 0, 2], [5, 1]]


def test_epochs_differ_and_seeds_differ() -> None:
    first, second = taken(50, 50, 1, 2)
    assert first != second
    assert taken(50, 50, 2, 1) != [first]
