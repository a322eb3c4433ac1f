"""What the bound on norms costs an aggregator, when it checks an update and when it counts it.

Run: OMP_NUM_THREADS=1 pytest benchmarks/bench_bound.py --benchmark-group-by=group
For a million parameters, with the default codec (1 % of them) and as float32. "finite" is the check
without a norm, which every update had before. Times are CPU times.
"""

import time

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fedge import codecs
from fedge.strategies import bound_norms, mean_of_payloads

N_PARAMS = 1_000_000
CODECS = ["topk:0.01/sign", "none"]


def a_payload(spec: str) -> bytes:
    rng = np.random.default_rng(0)
    delta = rng.standard_normal(N_PARAMS, dtype=np.float32)
    codec = codecs.get(spec)
    residual = np.zeros(N_PARAMS, np.float32) if codec.uses_residual else None
    return codec.encode(delta, residual, rng)


@pytest.mark.benchmark(group="check one update", timer=time.process_time)
@pytest.mark.parametrize("spec", CODECS)
@pytest.mark.parametrize("what", ["finite", "norm"])
def bench_check(benchmark: BenchmarkFixture, spec: str, what: str) -> None:
    payload = a_payload(spec)

    def finite() -> bool:
        return bool(np.isfinite(codecs.decode(payload).values).all())

    def norm() -> float:
        return codecs.decode(payload).norm

    found = benchmark.pedantic(  # type: ignore[no-untyped-call] # untyped library
        finite if what == "finite" else norm, rounds=30, iterations=10, warmup_rounds=3
    )
    if what == "norm":
        values = codecs.decode(payload).values.astype(np.float64)
        np.testing.assert_allclose(found, np.sqrt((values**2).sum()), rtol=1e-12)


@pytest.mark.benchmark(group="count one update", timer=time.process_time)
@pytest.mark.parametrize("spec", CODECS)
@pytest.mark.parametrize("what", ["whole", "share"])
def bench_count(benchmark: BenchmarkFixture, spec: str, what: str) -> None:
    payload, shares = a_payload(spec), None if what == "whole" else [0.5]
    mean = benchmark.pedantic(  # type: ignore[no-untyped-call] # untyped library
        mean_of_payloads, ([1], [payload], N_PARAMS, shares), rounds=30, iterations=10
    )
    want = codecs.decode(payload).to_dense() * np.float32(1 if shares is None else 0.5)
    np.testing.assert_array_equal(mean, want)


@pytest.mark.benchmark(group="bound a cohort", timer=time.process_time)
@pytest.mark.parametrize("n", [100, 10_000])
def bench_bound(benchmark: BenchmarkFixture, n: int) -> None:
    norms = list(np.random.default_rng(0).uniform(0.5, 1.5, n))
    found = benchmark(bound_norms, norms, 2.0)
    benchmark.extra_info["n"] = n
    assert found.median == sorted(norms)[(n - 1) // 2]
