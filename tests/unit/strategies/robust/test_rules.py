"""The laws of all robust functions, and each by hand once.

`test_selection` has how they decide, golden/test_robust_peers what ByzFL and Flower return.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from fedge.strategies import robust
from fedge.types import Array, Vector

Rule = Callable[..., Vector]
RULES: dict[str, Rule] = {
    "coordinate_median": robust.coordinate_median,
    "trimmed_mean": robust.trimmed_mean,
    "krum": robust.krum,
    "multi_krum": robust.multi_krum,
    "bulyan": robust.bulyan,
    "geometric_median": robust.geometric_median,
    "centered_clipping": partial(robust.centered_clipping, tau=2.0, iterations=3),
    "meamed": robust.meamed,
    "minimum_diameter_averaging": robust.minimum_diameter_averaging,
    "smea": robust.smea,
    "caf": robust.caf,
    "cge": robust.cge,
}
# Of these a cohort comes out, whose mean stands for it here.
BEFORE: dict[str, Rule] = {
    "nearest_neighbor_mixing": robust.nearest_neighbor_mixing,
    "bucketing": lambda updates, n_byzantine: robust.bucketing(
        updates, s=2, order=np.arange(len(updates)), n_byzantine=n_byzantine
    ),
    "clipping": partial(robust.clipping, c=5.0),
    "adaptive_robust_clipping": robust.adaptive_robust_clipping,
}
WITH_MORE: dict[str, Rule] = {
    "fltrust": lambda updates, n_byzantine: robust.fltrust(
        updates, reference=np.ones(updates.shape[1], np.float32), n_byzantine=n_byzantine
    ),
    "foolsgold": lambda updates, n_byzantine: robust.foolsgold(
        updates, history=updates, n_byzantine=n_byzantine
    ),
}
ALL = {**RULES, **BEFORE, **WITH_MORE}
every = pytest.mark.parametrize("name", ALL)
seeds = pytest.mark.parametrize("seed", range(5))
N, F = 11, 2


def _honest(n: int, seed: int = 0, n_params: int = 40) -> Vector:
    """Around 1, not around 0."""
    rng = np.random.default_rng(seed)
    return (1 + 0.3 * rng.standard_normal((n, n_params))).astype(np.float32)


def rows(*values: float) -> Vector:
    return np.array(values, np.float32)[:, None]


LINE = rows(0, 1, 2.5, 4, 100)  # the last one lies


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("krum", 2.5),  # sums of three squares: 23.25, 12.25, 10.75, 27.25
        ("multi_krum", 1.875),  # without 100
        ("minimum_diameter_averaging", 1.875),
        ("smea", 1.875),
        ("cge", 1.875),
        ("meamed", 1.875),  # 2.5 is the median
        ("geometric_median", 2.5),
        ("centered_clipping", 1.4 + 0.66 + (-2 - 1.06 + 0.44 + 1.94 + 2) / 5),
    ],
)
def test_a_rule_on_a_line_by_hand(name: str, want: float) -> None:
    """Clipped to 2: (0 + 1 + 2 + 2 + 2) / 5 = 1.4, then (-1.4 - 0.4 + 1.1 + 2 + 2) / 5 = 0.66."""
    got = RULES[name](LINE, n_byzantine=1)
    np.testing.assert_allclose(got, [want], rtol=1e-5)


def test_bulyan_by_hand() -> None:
    """Krum chooses 0 to 4 of 7; the three nearest to their median 2 are 1, 2 and 3."""
    np.testing.assert_allclose(
        robust.bulyan(rows(0, 1, 2, 3.5, 4, 5, 100), n_byzantine=1), [2.17], atol=5e-3
    )


def test_caf_by_hand() -> None:
    """The weights of 0, 0, 0, 10 become 8/9, 8/9, 8/9 and 0."""
    np.testing.assert_array_equal(robust.caf(rows(0, 0, 0, 10), n_byzantine=1), [0])


def test_mixing_by_hand() -> None:
    got = robust.nearest_neighbor_mixing(LINE, n_byzantine=1)
    np.testing.assert_array_equal(got, rows(1.875, 1.875, 1.875, 1.875, 26.875))


def test_buckets_by_hand() -> None:
    """Of 4, 0, 100 and of 1, 2.5."""
    order = np.array([3, 0, 4, 1, 2])
    got = robust.bucketing(LINE, s=3, order=order)
    np.testing.assert_allclose(got, rows(104 / 3, 1.75), rtol=1e-6)


def test_clipping_by_hand() -> None:
    """(3, 4) has a length of 5; a floor of 2 * 1 * 2 / 3 = 1 update is made as long as the next."""
    updates = np.array([[3, 4], [0.5, 0], [0, 2]], np.float32)
    got = robust.clipping(updates, c=1.0)
    np.testing.assert_allclose(got, [[0.6, 0.8], [0.5, 0.0], [0.0, 1.0]], rtol=1e-6)
    got = robust.adaptive_robust_clipping(updates, n_byzantine=1)
    np.testing.assert_allclose(got, [[1.2, 1.6], [0.5, 0.0], [0.0, 2.0]], rtol=1e-6)


def test_trust_by_hand() -> None:
    """Made as long as (2, 0): (2, 0), and (1.41, 1.41) with trust 0.707; the others have none."""
    updates = np.array([[1, 0], [0, 3], [-1, 0], [1, 1]], np.float32)
    got = robust.fltrust(updates, reference=np.array([2, 0], np.float32))
    share = np.sqrt(0.5)
    np.testing.assert_allclose(got, [(2 + 1) / (1 + share), 1 / (1 + share)], rtol=1e-6)


def test_clones_are_outvoted_by_one_that_is_not() -> None:
    updates = np.array([[9, 0], [9, 0], [0, 1]], np.float32)
    np.testing.assert_array_equal(robust.foolsgold(updates, history=updates), [0, 1])
    history = np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    np.testing.assert_array_equal(robust.foolsgold(updates, history=history), [9, 0])


def _row(result: Vector) -> Vector:
    """One update, of a cohort its mean."""
    assert result.dtype == np.float32
    return np.asarray(result.mean(axis=0) if result.ndim == 2 else result)


@every
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_update_that_is_not_finite_is_as_if_it_had_not_come(name: str, bad: float) -> None:
    """A single NaN is enough; the rest may then have one liar fewer."""
    honest = _honest(N)
    updates = np.insert(honest, 4, honest[0], axis=0)
    updates[4, 3] = bad
    got = ALL[name](updates, n_byzantine=F)
    if name in ("coordinate_median", "trimmed_mean"):  # these have a place for NaN
        assert np.all(np.abs(got - honest.mean(axis=0)) < 0.5)
    else:
        np.testing.assert_array_equal(got, ALL[name](honest, n_byzantine=F - 1))


@every
def test_of_nothing_but_nan_there_is_no_result(name: str) -> None:
    updates = np.full((N, 3), np.nan, np.float32)
    if name in ("coordinate_median", "trimmed_mean"):
        assert np.all(np.isnan(ALL[name](updates, n_byzantine=F)))
        return
    with pytest.raises(ValueError, match=f"none of {N} updates is finite"):
        ALL[name](updates, n_byzantine=F)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("size", [1e3, 1e9, 1e20, 3e38])
def test_a_liar_of_any_length_leaves_the_result_among_the_honest(name: str, size: float) -> None:
    """Also where the distances among the honest are nothing beside those to the liars."""
    updates = _honest(N)
    updates[:F] = np.float32(size) * np.sign(_honest(F, seed=1) - 1)
    got = RULES[name](updates, n_byzantine=F)
    distances = np.linalg.norm(updates[F:].astype(np.float64) - got, axis=1)
    spread = np.linalg.norm(updates[F:] - updates[F:].mean(axis=0), axis=1).max()
    # Centred clipping moves by at most two fifths of tau a step for the two liars.
    assert distances.max() < (8 if name == "centered_clipping" else 3 * spread)


@pytest.mark.parametrize("name", ["krum", "multi_krum", "minimum_diameter_averaging", "bulyan"])
@pytest.mark.parametrize("size", [1e9, 1e20, 3e38])
def test_how_long_a_liar_is_does_not_change_who_is_kept(name: str, size: float) -> None:
    updates = _honest(N)
    updates[:F] = 1000.0
    want = RULES[name](updates, n_byzantine=F)
    updates[:F] = size
    np.testing.assert_array_equal(RULES[name](updates, n_byzantine=F), want)


@pytest.mark.parametrize("name", [name for name in RULES if name != "centered_clipping"])
@pytest.mark.parametrize("scale", [2.0**-90, 2.0**-30, 2.0**60])
def test_a_rule_has_no_unit(name: str, scale: float) -> None:
    """Times a power of two, updates give the same bits times it."""
    updates = _honest(N, seed=3)
    want = RULES[name](updates, n_byzantine=F) * np.float32(scale)
    got = RULES[name](updates * np.float32(scale), n_byzantine=F)
    np.testing.assert_array_equal(got, want)


def test_what_all_have_in_common_does_not_change_who_is_kept() -> None:
    """Differences of 0.001 about 1000: their squares would be lost in inner products of 4e7."""
    rng = np.random.default_rng(5)
    updates = (1000 + 1e-3 * rng.standard_normal((N, 40))).astype(np.float32)
    exact = updates.astype(np.float64) - 1000
    squares = ((exact[:, None] - exact[None]) ** 2).sum(axis=2)
    scores = np.sort(squares, axis=1)[:, 1 : N - F].sum(axis=1)
    got = robust.krum(updates, n_byzantine=F)
    np.testing.assert_array_equal(got, updates[scores.argmin()])


@every
@seeds
def test_equal_updates_come_out_as_they_are(name: str, seed: int) -> None:
    one = _honest(1, seed)[0]
    if name == "fltrust":
        want = ALL[name](one[None], n_byzantine=0)  # of the reference's length
    elif name == "centered_clipping":
        want = RULES[name](one[None], n_byzantine=0)
    elif name == "foolsgold":
        want = np.zeros_like(one)
    elif name == "clipping":
        want = one * np.float32(min(1.0, 5 / float(np.linalg.norm(one))))
    else:
        want = one
    got = _row(ALL[name](np.tile(one, (N, 1)), n_byzantine=F))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


# The order is an argument; of subsets or pairs with the same distances the first is taken.
ORDERED = ("bucketing", "minimum_diameter_averaging", "bulyan")


@pytest.mark.parametrize("name", [name for name in ALL if name not in ORDERED])
@seeds
def test_result_does_not_depend_on_the_order_of_updates(name: str, seed: int) -> None:
    updates = _honest(N, seed)
    order = np.random.default_rng(seed).permutation(N)
    got = ALL[name](np.ascontiguousarray(updates[order]), n_byzantine=F)
    want = ALL[name](updates, n_byzantine=F)
    if want.ndim == 2:
        want = want[order]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


@every
def test_updates_are_not_changed(name: str) -> None:
    updates = _honest(N)
    updates[0] *= 1e6
    before = updates.copy()
    ALL[name](updates, n_byzantine=F)
    np.testing.assert_array_equal(updates, before)


@every
def test_updates_may_be_parts_of_longer_rows(name: str) -> None:
    whole = _honest(N, n_params=60)
    got = ALL[name](whole[:, 7:47], n_byzantine=F)
    np.testing.assert_array_equal(got, ALL[name](whole[:, 7:47].copy(), n_byzantine=F))


@every
@pytest.mark.parametrize(("n", "n_byzantine"), [(0, 0), (1, 1), (4, 2), (5, 3), (5, -1)])
def test_as_many_byzantine_as_half_is_refused(name: str, n: int, n_byzantine: int) -> None:
    with pytest.raises(ValueError, match=f"half of {n} updates"):
        ALL[name](np.zeros((n, 3), np.float32), n_byzantine=n_byzantine)


@every
@pytest.mark.parametrize(
    "updates",
    [np.zeros((3, 3)), np.zeros((3, 3, 3), np.float32)],
    ids=["float64", "three axes"],
)
def test_other_than_a_float32_matrix_is_refused(name: str, updates: Vector) -> None:
    with pytest.raises(ValueError, match=r"float32 of shape \(n, n_params\)"):
        ALL[name](updates, n_byzantine=0)


def test_other_arguments_are_refused() -> None:
    updates = _honest(5, n_params=3)
    with pytest.raises(ValueError, match="at least 7 updates in all, not 5"):
        robust.bulyan(updates, n_byzantine=1)
    with pytest.raises(ValueError, match="m must be 1 to 5, not 0"):
        robust.multi_krum(updates, n_byzantine=1, m=0)
    with pytest.raises(ValueError, match=r"start must be of shape \(3,\), not \(4,\)"):
        robust.centered_clipping(updates, tau=1.0, start=np.zeros(4, np.float32))
    with pytest.raises(ValueError, match="s must be at least 1, not 0"):
        robust.bucketing(updates, s=0, order=np.arange(5))
    with pytest.raises(ValueError, match="numbers 0 to 4 once each"):
        robust.bucketing(updates, s=2, order=np.array([0, 1, 2, 3, 3]))
    with pytest.raises(ValueError, match=r"reference must be float32 of shape \(3,\)"):
        robust.fltrust(updates, reference=np.zeros(3))
    with pytest.raises(ValueError, match="reference must be finite"):
        robust.fltrust(updates, reference=np.array([0, np.nan, 0], np.float32))
    with pytest.raises(ValueError, match=r"history must be of shape \(5, 3\)"):
        robust.foolsgold(updates, history=updates[:4])
    with pytest.raises(ValueError, match="history of a finite update must be finite"):
        robust.foolsgold(
            updates, history=np.where(updates == updates[2], np.nan, updates).astype(np.float32)
        )


def test_updates_near_the_end_of_float32_are_refused_together() -> None:
    """One such update is a liar; if most are, their differences have no float32."""
    updates = np.float32(3e38) * np.sign(_honest(N) - 1)
    with pytest.raises(ValueError, match="too long for float32"):
        robust.krum(np.asarray(updates, np.float32), n_byzantine=F)


@pytest.mark.parametrize("n_params", [1, 15, 5957, 20_000])
def test_the_number_of_parameters_may_be_any(n_params: int) -> None:
    """Ranges of columns end where they end."""
    updates: Array = _honest(N, n_params=n_params)
    exact = updates.astype(np.float64)
    squares = ((exact[:, None] - exact[None]) ** 2).sum(axis=2)
    scores = np.sort(squares, axis=1)[:, 1 : N - F].sum(axis=1)
    kept = np.sort(np.argsort(scores)[: N - F])
    got = robust.multi_krum(updates, n_byzantine=F)
    np.testing.assert_allclose(got, exact[kept].mean(axis=0), atol=1e-6)
