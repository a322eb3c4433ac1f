"""What a training step costs on each engine: batch 16, one thread, CPU time, the graph alone.

`make bench ARGS="benchmarks/bench_engines.py"` prints the medians; run it with OMP_NUM_THREADS=1.
"onnx alone" is the second engine without our operators, which shows what they gain.
"""

import time
from collections.abc import Mapping

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fedge import Artifact
from fedge.builder.check import random_examples
from fedge.training.engines import ENGINES, EngineName, reference
from fedge.training.graphs import TrainGraph
from tests.support.networks import NETWORKS, build_network

BATCH = 16
pytestmark = pytest.mark.benchmark(timer=time.process_time)
artifacts: Mapping[str, Artifact] = {name: build_network(name, BATCH) for name in NETWORKS}


def ready(name: str, engine: EngineName) -> TrainGraph:
    """A graph that has run once, so its buffers hold a batch."""
    artifact = artifacts[name]
    graph = TrainGraph(artifact, 1, engine)
    graph.parameters[:] = artifact.parameters
    data = random_examples(artifact.manifest, np.random.default_rng(0))
    loss, _ = graph.run(data, np.arange(BATCH))
    assert np.isfinite(loss)
    return graph


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NETWORKS)
def bench_step(benchmark: BenchmarkFixture, name: str, engine: EngineName) -> None:
    graph = ready(name, engine)
    benchmark(graph._engine.run)  # noqa: SLF001 - without the trainer around it
    benchmark.extra_info["n_params"] = artifacts[name].n_params
    assert np.isfinite(graph.gradient).all()


@pytest.mark.parametrize("name", NETWORKS)
def bench_step_onnx_alone(
    benchmark: BenchmarkFixture, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its results may be infinite (docs/engines.md says which), so only the time counts."""
    artifact = artifacts[name]
    monkeypatch.setattr(reference, "REPLACED", {})
    graph = TrainGraph(artifact, 1, "reference")
    graph.parameters[:] = artifact.parameters
    graph.run(random_examples(artifact.manifest, np.random.default_rng(0)), np.arange(BATCH))
    run = graph._engine.run  # noqa: SLF001 - without the trainer around it
    benchmark.pedantic(run, rounds=5)  # type: ignore[no-untyped-call] # has no annotations
