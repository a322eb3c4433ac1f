"""Deals examples to devices: the same mix for all, or a different one for each."""

from dataclasses import replace

import numpy as np

from fedge.data import Dataset
from fedge.errors import DataError
from fedge.setting import default_of
from fedge.simulation.data import MOST_DRAWS, TEST_SHARE
from fedge.simulation.options import DemoOptions
from fedge.types import Array

ALPHA: float = default_of(DemoOptions, "alpha")  # concentration of the Dirichlet draw


def hold_out(data: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    """Training and test examples: as the data say, or a fifth drawn uniformly for testing."""
    if data.is_test is None:
        is_test = np.zeros(data.n_examples, np.bool_)
        chosen = np.random.default_rng([seed, 1]).permutation(data.n_examples)
        is_test[chosen[: int(TEST_SHARE * data.n_examples)]] = True
        data = replace(data, is_test=is_test)
    return data.train(), data.test()


def deal(train: Dataset, n_devices: int, *, iid: bool, seed: int) -> list[Dataset]:
    """Gives every example to one device.

    Args:
        train: if it has `client` and iid is false, clients stay together: client i, in sorted
            order, goes to device i modulo n_devices.
        n_devices: at least 1.
        iid: shuffle and cut into even parts; otherwise split each class by a Dirichlet draw.
        seed: of the draws.

    Raises:
        DataError: if a device would have nothing.
    """
    rng = np.random.default_rng([seed, 2])
    if iid:
        owner = rng.permutation(train.n_examples) % n_devices
    elif train.client is not None:
        owner = np.unique(train.client, return_inverse=True)[1] % n_devices
    else:
        owner = _by_class(train.targets, n_devices, rng)
    if np.bincount(owner, minlength=n_devices).min() == 0:
        raise DataError("devices", expected="some examples for each", found=f"{n_devices} devices")
    return [train.select(owner == device) for device in range(n_devices)]


def _by_class(targets: Array, n_devices: int, rng: np.random.Generator) -> Array:
    """Redrawn until every device has enough, ten examples at most.

    Source: Hsu et al., 2019, arXiv:1909.06335 (shares of each class by Dirichlet).
    """
    least = min(10, len(targets) // (4 * n_devices))
    owner = np.zeros(len(targets), np.int64)
    for _ in range(MOST_DRAWS):
        for label in np.unique(targets):
            members = rng.permutation(np.flatnonzero(targets == label))
            shares = np.cumsum(rng.dirichlet(np.full(n_devices, ALPHA)))[:-1]
            parts = np.split(members, (shares * len(members)).astype(np.int64))
            for device, part in enumerate(parts):
                owner[part] = device
        if np.bincount(owner, minlength=n_devices).min() >= least:
            break
    return owner
