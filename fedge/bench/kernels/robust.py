"""Robust aggregation of a cohort of a hundred."""

from typing import Any

import numpy as np

from fedge.bench.kernels.figure import Figure, Goal
from fedge.bench.timing import Candidate, medians
from fedge.strategies.robust import coordinate_median

_N = 100  # updates


def median(n_params: int, modules: dict[str, Any], budget_s: float) -> Figure:
    """Coordinate median; the goal is the same for a million parameters, which need 800 MB."""
    updates = np.random.default_rng(0).standard_normal((_N, n_params), np.float32)
    candidates = {
        "ours": Candidate(lambda: coordinate_median(updates)),
        "numpy": Candidate(lambda: np.median(updates, axis=0)),
    }
    if "torch" in modules:
        torch = modules["torch"]
        given = torch.from_numpy(updates)
        candidates["torch"] = Candidate(lambda: torch.quantile(given, 0.5, dim=0))
    times = medians(candidates, budget_s)
    want = np.sort(updates[:, ::97], axis=0)[_N // 2 - 1 : _N // 2 + 1].mean(axis=0)
    np.testing.assert_allclose(coordinate_median(updates)[::97], want, atol=1e-6)
    return Figure(
        key=f"median {n_params}",
        what=f"coordinate median of {_N}, d = {n_params}",
        ours=times["ours"],
        unit="s",
        peers={name: time_s for name, time_s in times.items() if name != "ours"},
        goals=(Goal("numpy", 15, at_least=True),),
    )
