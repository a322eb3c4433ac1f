"""What the bound on norms costs an aggregator, when it checks an update and when it counts it.

Run: OMP_NUM_THREADS=1 pytest benchmarks/bench_bound.py --benchmark-group-by=group
Of a million parameters, with the default codec (1 % of them) and as float32; a cohort of small
updates of 20 000. "finite" is the check
without a norm, which every update had before. Times are of the process's CPU.
"""

import time

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fedge import codecs
from fedge.strategies import Cohort, Mean, Member, PayloadDeltas, bound_norms, scale
from fedge.types import DeviceId, RoundId, Vector

N_PARAMS = 1_000_000
CODECS = ["topk:0.01/sign", "none"]


def a_payload(spec: str, n_params: int = N_PARAMS) -> bytes:
    rng = np.random.default_rng(0)
    delta = rng.standard_normal(n_params, dtype=np.float32)
    codec = codecs.get(spec)
    residual = np.zeros(n_params, np.float32) if codec.uses_residual else None
    return codec.encode(delta, residual, rng)


def a_cohort(n: int, payload: bytes, n_params: int = N_PARAMS) -> Cohort:
    """As many devices, all of which sent this."""
    members = tuple(
        Member(device=DeviceId(f"device-{number:05}"), round=RoundId(1), n_examples=1, norm=1.0)
        for number in range(n)
    )
    deltas = PayloadDeltas(
        n_params=n_params, n_members=n, read=lambda places: (payload for _ in places)
    )
    return Cohort(members, deltas)


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
    payload, share = a_payload(spec), 1.0 if what == "whole" else 0.5
    cohort = scale(a_cohort(1, payload), [share])
    mean = benchmark.pedantic(  # type: ignore[no-untyped-call] # untyped library
        Mean().combine, (cohort,), rounds=30, iterations=10
    )
    want = codecs.decode(payload).to_dense() * np.float32(share)
    np.testing.assert_array_equal(mean, want)


@pytest.mark.benchmark(group="count a cohort of small updates", timer=time.process_time)
@pytest.mark.parametrize("n", [100, 10_000])
@pytest.mark.parametrize("what", ["kernels", "rule"])
def bench_cohort(benchmark: BenchmarkFixture, what: str, n: int) -> None:
    """What a rule, a cohort and the bound's shares add to decoding and adding alone."""
    payload = a_payload("topk:0.01/sign", n_params=20_000)

    def kernels() -> Vector:
        mean: Vector = np.zeros(20_000, np.float32)
        for _ in range(n):
            codecs.accumulate(payload, 1 / n, mean)
        return mean

    def rule() -> Vector:
        return Mean().combine(scale(a_cohort(n, payload, n_params=20_000), [1.0] * n))

    benchmark.extra_info["n"] = n
    run = kernels if what == "kernels" else rule
    mean = benchmark.pedantic(run, rounds=5, warmup_rounds=1)  # type: ignore[no-untyped-call] # untyped library
    np.testing.assert_allclose(mean, codecs.decode(payload).to_dense(), rtol=1e-3)


@pytest.mark.benchmark(group="bound a cohort", timer=time.process_time)
@pytest.mark.parametrize("n", [100, 10_000])
def bench_bound(benchmark: BenchmarkFixture, n: int) -> None:
    norms = list(np.random.default_rng(0).uniform(0.5, 1.5, n))
    found = benchmark(bound_norms, norms, 2.0)
    benchmark.extra_info["n"] = n
    assert found.median == sorted(norms)[(n - 1) // 2]
