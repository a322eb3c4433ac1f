"""The order in which a device goes through its examples."""

from collections.abc import Iterator

import numpy as np

from fedge.types import Array


def batches(n_examples: int, batch_size: int, seed: int) -> Iterator[Array]:
    """Indices of one batch after another, endlessly: each epoch is a new shuffle, cut into batches.

    No example is drawn twice in an epoch; its last batch may be short.
    """
    rng = np.random.default_rng(seed)
    while True:
        # Sorting 53-bit uniforms gives the same shuffle on every machine and NumPy version;
        # `permutation` promises neither.
        order = np.argsort(rng.random(n_examples), kind="stable")
        for start in range(0, n_examples, batch_size):
            yield order[start : start + batch_size]
