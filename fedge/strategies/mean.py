"""The mean of a cohort's deltas, with the same bits whatever order they came in."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from fedge import codecs
from fedge.types import DeviceId, Update, Vector


def weights(n_examples: Sequence[int], shares: Sequence[float] | None = None) -> list[float]:
    """Each update's share of the examples: computed in float64, rounded once to float32.

    Args:
        n_examples: one an update.
        shares: how much of each delta is to be counted, 0 to 1; None for all of each.
    """
    total = sum(n_examples)
    if shares is None:
        shares = [1.0] * len(n_examples)
    parts = zip(n_examples, shares, strict=True)
    return [float(np.float32(n / total * share)) for n, share in parts]


def mean_of_payloads(
    n_examples: Sequence[int],
    payloads: Iterable[bytes],
    n_params: int,
    shares: Sequence[float] | None = None,
) -> Vector:
    """Mean delta of a cohort, weighted by number of examples, decoded as it streams by.

    Only one payload and the sum are in memory at a time. The sum runs in float32
    in the order given: the caller gives device order.

    Args:
        n_examples: one a payload, each at least 1.
        payloads: encoded deltas, each of shape (n_params,), in the same order.
        n_params: the size of a delta.
        shares: how much of each delta is counted, see `weights`.

    Returns:
        float32, shape (n_params,), in the units of the parameters.

    Raises:
        ValueError: if there are no updates, or not as many payloads as weights.
        PayloadError: if a payload cannot be decoded.

    Source:
        McMahan et al., 2017, arXiv:1602.05629, algorithm 1.
    """
    if not n_examples:
        raise ValueError("a round needs at least one update")
    mean = np.zeros(n_params, np.float32)
    for weight, payload in zip(weights(n_examples, shares), payloads, strict=True):
        codecs.accumulate(payload, weight, mean)
    return mean


def weighted_mean(updates: Mapping[DeviceId, Update]) -> Vector:
    """The plain twin of `mean_of_payloads`, for updates in memory: the same bits.

    Args:
        updates: one per device, all with deltas of shape (n_params,).

    Returns:
        float32, shape (n_params,), in the units of the parameters.

    Raises:
        ValueError: if there are no updates.
    """
    cohort = [updates[device] for device in sorted(updates)]
    if not cohort:
        raise ValueError("a round needs at least one update")
    mean = np.zeros(cohort[0].delta.shape, np.float32)
    for weight, update in zip(weights([u.n_examples for u in cohort]), cohort, strict=True):
        mean += np.float32(weight) * update.delta
    return mean
