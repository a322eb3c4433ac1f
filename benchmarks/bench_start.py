"""What a cold start costs: a new interpreter each time, compared with one that does nothing."""

import subprocess
import sys

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

_FIRST_STEP = """
import numpy as np
from fedge.artifact import load_artifact
from fedge.training import ArrayData, Plan, Trainer
artifact = load_artifact({path!r})
data = ArrayData({{"x": np.zeros((16, 64), np.float32)}}, np.zeros(16, np.int64))
Trainer(artifact).fit(artifact.parameters, data, Plan(local_steps=1))
"""


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The demo's network for 8 x 8 pixels, as a file."""
    from fedge.builder import build_artifact  # noqa: PLC0415 - not in this process's import time
    from fedge.simulation.model import perceptron  # noqa: PLC0415

    path = tmp_path_factory.mktemp("start") / "model.fedge"
    build_artifact(perceptron((64,), 10, seed=0), loss="cross_entropy").save(path)
    return str(path)


def _run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own code


@pytest.mark.parametrize(
    "what", ["pass", "import fedge", "import numpy", "from fedge import Device"]
)
def bench_import(benchmark: BenchmarkFixture, what: str) -> None:
    benchmark.pedantic(_run, (what,), rounds=15, warmup_rounds=2)  # type: ignore[no-untyped-call]
    loaded = "import sys; assert 'onnxruntime' not in sys.modules and 'onnx' not in sys.modules"
    _run(f"{what}; {loaded}")


def bench_first_training_step(benchmark: BenchmarkFixture, artifact: str) -> None:
    """A new process, from nothing to one step of local training."""
    code = _FIRST_STEP.format(path=artifact)
    benchmark.pedantic(_run, (code,), rounds=10, warmup_rounds=2)  # type: ignore[no-untyped-call]
