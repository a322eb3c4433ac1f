"""What hostile devices send in place of what they learned.

The attacker knows every honest delta of the round before it chooses its own. Each function takes
these as rows, float32 (n_honest, n_params) with n_honest at least 1, and gives one delta, float32
(n_params,), which all hostile devices send. Sums run in float64.

Where ByzFL 0.0.11 has the attack, it is the same here and has the same default, unless said
otherwise.
"""

import math

import numpy as np

from fedge.types import Array, Vector


def inner_product_manipulation(honest: Vector, *, tau: float = 2.0) -> Vector:
    """The honest mean turned round and tau times as long.

    With tau = 1 this is ByzFL's SignFlipping.

    Source: Xie et al., 2020, arXiv:1903.03936.
    """
    return _float32(-tau * _mean(honest))


def a_little_is_enough(honest: Vector, *, tau: float = 1.5) -> Vector:
    """Off the honest mean in every parameter by tau standard deviations (of a sample, n - 1).

    Upwards and with a fixed tau, as in ByzFL. The paper goes downwards and derives its factor from
    the number of devices; for 2 hostile devices of 10 that factor is 0.

    Source: Baruch et al., 2019, arXiv:1902.06156.
    """
    return _float32(_mean(honest) + tau * _deviation(honest))


def gaussian(honest: Vector, rng: np.random.Generator, *, sigma: float = 1.0) -> Vector:
    """Noise around 0 that has nothing to do with the honest deltas.

    ByzFL draws anew for each call; a round here has one draw, shared by all hostile devices.
    """
    noise: Array = rng.normal(scale=sigma, size=(honest.shape[1],))
    return _float32(noise)


def mimic(honest: Vector, *, victim: int = 0) -> Vector:
    """A copy of one honest delta, so that this device counts several times.

    The victim is fixed, as in ByzFL; the paper looks for the one whose copies bias the mean most.

    Source: Karimireddy et al., 2022, arXiv:2006.09365.
    """
    copied: Vector = honest[victim].copy()
    return copied


def min_max(honest: Vector) -> Vector:
    """As far below the mean as stays within the cohort, by the largest distance.

    mean - g * deviation, with the largest g that leaves no honest delta farther away than the two
    honest ones that are farthest apart.

    Source: Shejwalkar and Houmansadr, 2021, NDSS (AGR-agnostic, inverse standard deviation), where
    a search finds g; see `_largest`.
    """
    spread = _Spread(honest)
    limit = float(spread.squared.max())
    gains = [_largest(spread.a, b, c - limit) for b, c in zip(spread.b, spread.c, strict=True)]
    return spread.below(min(gains))


def min_sum(honest: Vector) -> Vector:
    """Like `min_max`, by the sum of squared distances to all honest deltas.

    The sum may be as large as the largest one that an honest delta has.

    Source: Shejwalkar and Houmansadr, 2021, NDSS (AGR-agnostic, inverse standard deviation).
    """
    spread = _Spread(honest)
    limit = float(spread.squared.sum(axis=1).max())
    n = len(honest)
    return spread.below(_largest(n * spread.a, spread.b.sum(), spread.c.sum() - limit))


def zero(honest: Vector) -> Vector:
    """Nothing learned."""
    return np.zeros(honest.shape[1], np.float32)


def replacement(own: Vector, n_examples: Array, *, n_total: int) -> Vector:
    """So long that the cohort's mean becomes what the hostile devices want the model to be.

    Args:
        own: deltas of the hostile devices, float32 (n_hostile, n_params); their weighted mean leads
            from the global model to the one that they want.
        n_examples: that the hostile devices claim, each at least 1.
        n_total: that the whole cohort claims.

    Source: Bagdasaryan et al., 2020, arXiv:1807.00459, equation 3 (n / lr times the difference, for
    one device of n with equal weights and a learning rate of 1 on the aggregator).
    """
    weights = np.asarray(n_examples, np.float64)
    target = weights @ own.astype(np.float64) / weights.sum()
    return _float32(n_total / weights.sum() * target)


class _Spread:
    """How honest deltas lie around their mean m, with deviation s.

    The squared distance of delta i from m - g * s is a g^2 - 2 b_i g + c_i.
    """

    def __init__(self, honest: Vector) -> None:
        self._mean, self._deviation = _mean(honest), _deviation(honest)
        gaps = self._mean - honest
        self.a = float(self._deviation @ self._deviation)
        self.b = gaps @ self._deviation
        self.c = (gaps**2).sum(axis=1)
        products = gaps @ gaps.T
        self.squared = self.c[:, None] + self.c - 2 * products

    def below(self, gain: float) -> Vector:
        return _float32(self._mean - gain * self._deviation)


def _largest(a: float, b: float, c: float) -> float:
    """The larger root of a g^2 - 2 b g + c, where c is at most 0; 0 where nothing spreads."""
    return (b + math.sqrt(max(b * b - a * c, 0.0))) / a if a > 0 else 0.0


def _mean(rows: Vector) -> Array:
    mean: Array = rows.mean(axis=0, dtype=np.float64)
    return mean


def _deviation(rows: Vector) -> Array:
    """Of a sample; 0 for a single row."""
    if len(rows) == 1:
        return np.zeros(rows.shape[1])
    deviation: Array = rows.std(axis=0, ddof=1, dtype=np.float64)
    return deviation


def _float32(values: Array) -> Vector:
    return values.astype(np.float32)
