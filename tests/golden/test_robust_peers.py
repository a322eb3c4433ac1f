"""Every robust rule against what ByzFL 0.0.11 and Flower 1.41 returned for the same updates."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fedge.strategies import robust
from fedge.strategies.robust import selection
from fedge.types import Array, Vector
from tests.golden.robust_peers import CASES, TAUS, C, S, order, stored, updates

Rule = Callable[[Vector, int, str], Any]
EXACT = {  # nothing is computed, or values are added in the same order
    *["krum", "krum (torch)", "coordinate_median", "coordinate_median (torch)"],
    *["trimmed_mean", "trimmed_mean (torch)"],
}


def _simple(rule: Callable[..., Vector]) -> Rule:
    return lambda rows, f, case: rule(rows, n_byzantine=f)


RULES: dict[str, Rule] = {
    **{
        name: _simple(getattr(robust, name))
        for name in (
            *["coordinate_median", "trimmed_mean", "krum", "multi_krum", "meamed"],
            *["minimum_diameter_averaging", "nearest_neighbor_mixing", "geometric_median"],
            *["adaptive_robust_clipping", "caf", "smea"],
        )
    },
    "bulyan (Flower)": _simple(robust.bulyan),
    "clipping": lambda rows, f, case: robust.clipping(rows, c=C),
    "bucketing": lambda rows, f, case: robust.bucketing(rows, s=S, order=order(case)),
    "geometric_median as it comes": lambda rows, f, case: _three_steps(rows),
    "centered_clipping twice": lambda rows, f, case: robust.centered_clipping(
        rows, tau=1.0, start=robust.centered_clipping(rows, tau=1.0)
    ),
    **{
        name: lambda rows, f, case, tau=tau, n=n: robust.centered_clipping(  # type: ignore[misc]
            rows, tau=tau, iterations=n
        )
        for name, (tau, n) in TAUS.items()
    },
}


def _three_steps(rows: Vector) -> Array:
    """ByzFL's geometric median as it comes: from the origin, nu = 0.1, three steps."""
    exact = rows.astype(np.float64)
    weights = selection.geometric_median_weights(
        exact @ exact.T, start=np.zeros(len(rows)), nu=0.1, iterations=3
    )
    return weights @ exact


@pytest.mark.parametrize("case", CASES)
def test_every_stored_result_is_ours(case: str) -> None:
    rows, f = updates(case), CASES[case][1]
    for name, want in stored()[case].items():
        got = RULES[name.removesuffix(" (torch)")](rows, f, case)
        scale = float(np.abs(rows).max())
        tolerance = 0.0 if name in EXACT else 4 * 2.0**-23 * scale
        np.testing.assert_allclose(
            got, np.array(want, np.float32), rtol=0, atol=tolerance, err_msg=name
        )


def test_every_rule_of_byzfl_is_compared() -> None:
    """All but its plain mean and MoNNA, which trusts one of the updates."""
    names = {name for results in stored().values() for name in results}
    assert {name.removesuffix(" (torch)") for name in names} == set(RULES)
