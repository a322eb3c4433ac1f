"""Robust aggregation: what it asks of the kernels, for cohorts of a hundred and of fifty."""

from typing import Any

import numpy as np

from fedge import _kernels
from fedge.bench.kernels.figure import Figure, Goal
from fedge.bench.timing import Candidate, medians
from fedge.strategies.robust import coordinate_median
from fedge.types import Vector

_N = 100  # updates
_FEW = 50  # of what is multiplied; four fifths of them are mixed


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
    return _beside_peers(
        f"median {n_params}", f"coordinate median of {_N}, d = {n_params}", times, goal=15
    )


def products(n_params: int, modules: dict[str, Any], budget_s: float) -> Figure:
    """All products of updates. Peers keep no order of summation."""
    updates = _updates(n_params)
    ours = np.zeros((_FEW, _FEW))
    candidates = {
        "ours": Candidate(lambda: _kernels.gram_tile(updates, ours)),
        "numpy": Candidate(lambda: updates @ updates.T),
    }
    if "torch" in modules:
        given = modules["torch"].from_numpy(updates)
        candidates["torch"] = Candidate(lambda: given @ given.T)
    times = medians(candidates, budget_s)
    once = np.zeros((_FEW, _FEW))
    _kernels.gram_tile(updates, once)
    np.testing.assert_allclose(once, updates @ updates.T, rtol=1e-4, atol=1e-4 * n_params)
    return _beside_peers(
        f"products {n_params}", f"products of {_FEW}, d = {n_params}", times, goal=0.7
    )


def mix(n_params: int, modules: dict[str, Any], budget_s: float) -> Figure:
    """Means of four fifths of the updates, of others for each."""
    updates, mixed = _updates(n_params), np.empty((_FEW, n_params), np.float32)
    rng = np.random.default_rng(1)
    mixture = np.zeros((_FEW, _FEW), np.float32)
    for row in mixture:
        row[rng.permutation(_FEW)[: _FEW * 4 // 5]] = 5 / (4 * _FEW)
    candidates = {
        "ours": Candidate(lambda: _kernels.mix_tile(mixture, updates, mixed)),
        "numpy": Candidate(lambda: np.matmul(mixture, updates, out=mixed)),
    }
    if "torch" in modules:
        torch = modules["torch"]
        left, right = torch.from_numpy(mixture), torch.from_numpy(updates)
        candidates["torch"] = Candidate(lambda: left @ right)
    times = medians(candidates, budget_s)
    _kernels.mix_tile(mixture, updates, mixed)
    np.testing.assert_allclose(mixed, mixture @ updates, atol=1e-5)
    return _beside_peers(
        f"mix {n_params}", f"mix {_FEW}, each of {_FEW * 4 // 5}, d = {n_params}", times, goal=0.6
    )


def _beside_peers(key: str, what: str, times: dict[str, float], *, goal: float) -> Figure:
    """The goal is a ratio to numpy's time."""
    return Figure(
        key=key,
        what=what,
        ours=times["ours"],
        unit="s",
        peers={name: time_s for name, time_s in times.items() if name != "ours"},
        goals=(Goal("numpy", goal, at_least=True),),
    )


def _updates(n_params: int) -> Vector:
    return np.random.default_rng(0).standard_normal((_FEW, n_params), np.float32)
