"""Deals examples to devices in the ways that papers do."""

import numpy as np

from fedge.errors import DataError
from fedge.types import Array

_SHARDS_EACH = 2


def by_dirichlet(targets: Array, n_devices: int, alpha: float, seed: int) -> list[Array]:
    """Which examples each device has; the shares of each class are a Dirichlet draw.

    At a small alpha a device may have nothing: it is left out, so there are fewer devices.

    Source: Hsu et al., 2019, arXiv:1909.06335, by class.
    """
    rng = np.random.default_rng([seed, 2])
    owner = np.zeros(len(targets), np.int64)
    for label in np.unique(targets):
        members = rng.permutation(np.flatnonzero(targets == label))
        shares = np.cumsum(rng.dirichlet(np.full(n_devices, alpha)))[:-1]
        for device, part in enumerate(np.split(members, (shares * len(members)).astype(np.int64))):
            owner[part] = device
    return _of_owners(owner)


def by_shards(targets: Array, n_devices: int, seed: int) -> list[Array]:
    """Examples sorted by class, cut into two shards for each device, and dealt out.

    Source: McMahan et al., 2017, arXiv:1602.05629, section 3 (the pathological non-IID split).
    """
    n_shards = _SHARDS_EACH * n_devices
    if len(targets) < n_shards:
        raise DataError("examples", expected=f"at least {n_shards}", found=len(targets))
    rng = np.random.default_rng([seed, 2])
    shards = np.array_split(np.argsort(targets, kind="stable"), n_shards)
    dealt = rng.permutation(n_shards).reshape(n_devices, _SHARDS_EACH)
    return [np.concatenate([shards[shard] for shard in mine]) for mine in dealt]


def by_owner(client: Array) -> list[Array]:
    """Natural clients stay together: a device each, in sorted order."""
    return _of_owners(np.unique(client, return_inverse=True)[1])


def _of_owners(owner: Array) -> list[Array]:
    parts = [np.flatnonzero(owner == device) for device in range(int(owner.max()) + 1)]
    return [part for part in parts if part.size]
