"""Coordinate median and trimmed mean of n updates, compared with other libraries.

Run: OMP_NUM_THREADS=1 pytest benchmarks/bench_aggregation.py --benchmark-group-by=group,param:n
Compare medians within one run: the sum of all values, read once, is the floor. Peers that are
not installed are skipped by name. Times are CPU times. The largest case needs 1 GB.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fedge.strategies.robust import coordinate_median, trimmed_mean
from fedge.types import Vector

N_PARAMS = 1_000_000
COHORTS = [10, 50, 100]
MEDIANS = ["fedge", "numpy.median", "numpy.sort", "torch.quantile"]
TRIMMED_MEANS = ["fedge", "numpy.sort", "scipy.trim_mean", "torch.sort"]

Rule = Callable[[Vector], Any]


@pytest.fixture(scope="module", params=COHORTS, ids=str)
def updates(request: pytest.FixtureRequest) -> Vector:
    rng = np.random.default_rng(0)
    return rng.standard_normal((request.param, N_PARAMS), dtype=np.float32)


def _median(peer: str, n: int) -> Rule:
    if peer == "fedge":
        return coordinate_median
    if peer == "numpy.median":
        return lambda updates: np.median(updates, axis=0)
    if peer == "numpy.sort":
        return lambda updates: np.sort(updates, axis=0)[(n - 1) // 2 : n // 2 + 1].mean(axis=0)
    torch = _torch()
    return lambda updates: torch.quantile(torch.from_numpy(updates), 0.5, dim=0)


def _trimmed_mean(peer: str, n: int, n_byzantine: int) -> Rule:
    kept = slice(n_byzantine, n - n_byzantine)
    if peer == "fedge":
        return lambda updates: trimmed_mean(updates, n_byzantine=n_byzantine)
    if peer == "numpy.sort":
        return lambda updates: np.sort(updates, axis=0)[kept].mean(axis=0)
    if peer == "scipy.trim_mean":
        stats = pytest.importorskip("scipy.stats", reason="needs scipy")
        return lambda updates: stats.trim_mean(updates, n_byzantine / n, axis=0)
    torch = _torch()
    return lambda updates: torch.sort(torch.from_numpy(updates), dim=0).values[kept].mean(dim=0)


def _torch() -> Any:
    torch = pytest.importorskip("torch", reason="needs torch")
    torch.set_num_threads(1)
    return torch


def _measure(benchmark: BenchmarkFixture, rule: Rule, updates: Vector) -> Vector:
    benchmark.extra_info["n"] = len(updates)
    return np.asarray(
        benchmark.pedantic(  # type: ignore[no-untyped-call] # untyped library
            rule, (updates,), rounds=5, warmup_rounds=1
        )
    )


@pytest.mark.benchmark(group="read once", timer=time.process_time)
def bench_sum(benchmark: BenchmarkFixture, updates: Vector) -> None:
    _measure(benchmark, np.sum, updates)


@pytest.mark.benchmark(group="median", timer=time.process_time)
@pytest.mark.parametrize("peer", MEDIANS)
def bench_median(benchmark: BenchmarkFixture, peer: str, updates: Vector) -> None:
    got = _measure(benchmark, _median(peer, len(updates)), updates)
    part = slice(0, N_PARAMS, 97)
    np.testing.assert_allclose(got[part], np.median(updates[:, part], axis=0), atol=1e-6)


@pytest.mark.benchmark(group="trimmed mean", timer=time.process_time)
@pytest.mark.parametrize("peer", TRIMMED_MEANS)
def bench_trimmed_mean(benchmark: BenchmarkFixture, peer: str, updates: Vector) -> None:
    n, n_byzantine = len(updates), len(updates) // 10
    got = _measure(benchmark, _trimmed_mean(peer, n, n_byzantine), updates)
    part = slice(0, N_PARAMS, 97)
    ordered = np.sort(updates[:, part].astype(np.float64), axis=0)
    want = ordered[n_byzantine : n - n_byzantine].mean(axis=0)
    np.testing.assert_allclose(got[part], want, atol=1e-5)
