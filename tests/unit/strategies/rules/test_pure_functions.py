"""On dense updates, rules on payloads are the pure functions on arrays."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fedge.strategies import get, robust
from fedge.types import Vector
from tests.support.cohorts import of_rows

N, F = 15, 3
PAIRS: dict[str, Callable[[Vector], Vector]] = {
    "median": robust.coordinate_median,
    "trimmed_mean:f=3": lambda rows: robust.trimmed_mean(rows, n_byzantine=F),
    "trimmed_mean:0.2": lambda rows: robust.trimmed_mean(rows, n_byzantine=F),
    "meamed:f=3": lambda rows: robust.meamed(rows, n_byzantine=F),
    "krum:f=3": lambda rows: robust.krum(rows, n_byzantine=F),
    "multi_krum:f=3": lambda rows: robust.multi_krum(rows, n_byzantine=F),
    "bulyan:f=3": lambda rows: robust.bulyan(rows, n_byzantine=F),
    "geometric_median": robust.geometric_median,
    "centered_clipping:tau=2,iterations=4": lambda rows: robust.centered_clipping(
        rows, tau=2.0, iterations=4
    ),
    "mda:f=3": lambda rows: robust.minimum_diameter_averaging(rows, n_byzantine=F),
    "smea:f=3": lambda rows: robust.smea(rows, n_byzantine=F),
    "caf:f=3": lambda rows: robust.caf(rows, n_byzantine=F),
    "nnm:f=3+mean": lambda rows: robust.nearest_neighbor_mixing(rows, n_byzantine=F).mean(axis=0),
    "nnm+trimmed_mean:f=3": lambda rows: robust.trimmed_mean(
        robust.nearest_neighbor_mixing(rows, n_byzantine=F), n_byzantine=F
    ),
    "nnm+multi_krum:f=3": lambda rows: robust.multi_krum(
        robust.nearest_neighbor_mixing(rows, n_byzantine=F), n_byzantine=F
    ),
    "nnm:f=3+geometric_median": lambda rows: robust.geometric_median(
        robust.nearest_neighbor_mixing(rows, n_byzantine=F)
    ),
    "clip:c=3+mean": lambda rows: robust.clipping(rows, c=3.0).mean(axis=0),
    "clip:c=3+multi_krum:f=3": lambda rows: robust.multi_krum(
        robust.clipping(rows, c=3.0), n_byzantine=F
    ),
    "arc:f=3+mean": lambda rows: robust.adaptive_robust_clipping(rows, n_byzantine=F).mean(axis=0),
    "arc+nnm+trimmed_mean:f=3": lambda rows: robust.trimmed_mean(
        robust.nearest_neighbor_mixing(
            robust.adaptive_robust_clipping(rows, n_byzantine=F), n_byzantine=F
        ),
        n_byzantine=F,
    ),
    "fltrust": lambda rows: robust.fltrust(rows, reference=rows[0]),
    "foolsgold": lambda rows: robust.foolsgold(rows, history=rows),
}


def updates(seed: int) -> Vector:
    """Twelve honest devices that have much in common, and three that do not."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(N, 1500)) * rng.uniform(0.5, 1.5, size=(N, 1)) / 10
    rows[F:] += rng.normal(size=1500)
    rows[:F] -= 3 * rng.normal(size=1500)
    return rows.astype(np.float32)


@pytest.mark.parametrize("spec", PAIRS)
@pytest.mark.parametrize("has_norms", [True, False])
def test_a_rule_on_payloads_is_its_function_on_an_array(spec: str, *, has_norms: bool) -> None:
    rows = updates(7)
    cohort = replace(of_rows(rows.tolist()), reference=rows[0])
    if has_norms:
        norms = np.linalg.norm(rows.astype(np.float64), axis=1).tolist()
        members = [replace(one, norm=norm) for one, norm in zip(cohort.members, norms, strict=True)]
        cohort = replace(cohort, members=tuple(members))
    got = get(spec).rule.combine(cohort)
    np.testing.assert_allclose(got, PAIRS[spec](rows), rtol=1e-4, atol=1e-5)


def test_one_very_long_update_does_not_cost_the_others_their_digits() -> None:
    """As without a norm bound: Krum finds the same update whatever the last one sends."""
    rows = np.concatenate([updates(3)[F:], np.full((1, 1500), 1e12, np.float32)])
    norms = np.linalg.norm(rows.astype(np.float64), axis=1)
    members = tuple(
        replace(one, norm=float(norm))
        for one, norm in zip(of_rows(rows.tolist()).members, norms, strict=True)
    )
    cohort = of_rows(rows.tolist(), members)
    got = get("krum:f=2").rule.combine(cohort)
    exact = rows.astype(np.float64)
    distances = ((exact[:, None] - exact[None]) ** 2).sum(axis=2)
    scores = np.sort(distances, axis=1)[:, 1 : len(rows) - 2].sum(axis=1)
    np.testing.assert_array_equal(got, rows[scores.argmin()])
