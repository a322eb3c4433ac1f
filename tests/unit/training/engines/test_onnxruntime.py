"""onnxruntime is loaded when it is needed, with its telemetry off."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, sys
import numpy as np
from fedge.training import ArrayData, Plan, Trainer
from tests.support import models
assert "onnxruntime" not in sys.modules, "imported too early"
data = ArrayData({"x": np.ones((8, 2), np.float32)}, np.ones((8, 1), np.float32))
artifact = models.linear()
trainer = Trainer(artifact)
trainer.fit(artifact.parameters, data, Plan())
trainer.evaluate(artifact.parameters, data)
assert "onnxruntime" in sys.modules
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


def run(program: str, home: Path) -> "subprocess.CompletedProcess[str]":
    gone = ("CI", "ORT_DISABLE_TELEMETRY", "TF_BUILD", "GITHUB_ACTIONS")
    kept = {name: value for name, value in os.environ.items() if name not in gone}
    folders = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), str(home))
    return subprocess.run(
        [sys.executable, "-c", program],
        env=kept | folders | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_training_writes_no_file_and_turns_telemetry_off(tmp_path: Path) -> None:
    result = run(PROGRAM, tmp_path)
    assert (result.stdout, result.stderr, result.returncode) == ("1\n", "", 0)
    assert list(tmp_path.iterdir()) == []


def test_telemetry_of_an_imported_onnxruntime_is_switched_off_with_one_warning(
    tmp_path: Path,
) -> None:
    watch = (
        "import onnxruntime\nstop, told = onnxruntime.disable_telemetry_events, []\n"
        "onnxruntime.disable_telemetry_events = lambda: (told.append(1), stop())\n"
    )
    program = watch + PROGRAM.replace('assert "onnxruntime" not', "#") + "assert told == [1]\n"
    result = run(program, tmp_path)
    assert (result.stdout, result.returncode) == ("1\n", 0)
    assert result.stderr.count("UserWarning: onnxruntime was imported with telemetry on") == 1


SHORT_OF_MEMORY = """
import re, resource
from pathlib import Path
import numpy as np
from onnx import TensorProto, helper
from fedge.training.engines.onnxruntime import OnnxRuntime

def value(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

nodes = [
    helper.make_node("MatMul", ["x", "y"], ["z"]),
    helper.make_node("ReduceSum", ["z"], ["sum"], keepdims=0),
]
graph = helper.make_graph(nodes, "g", [value("x", 4000, 1), value("y", 1, 4000)], [value("sum")])
opsets = [helper.make_opsetid("", 18)]
model = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
x, y, total = np.ones((4000, 1), "f4"), np.ones((1, 4000), "f4"), np.zeros((), "f4")
engine = OnnxRuntime(model, {"x": x, "y": y}, {"sum": total}, threads=1)
used_kb = int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
resource.setrlimit(resource.RLIMIT_DATA, ((used_kb << 10) + (20 << 20),) * 2)
try:
    engine.run()
except MemoryError as error:
    print(error)
"""


def test_too_little_memory_is_not_mistaken_for_a_broken_graph(tmp_path: Path) -> None:
    """A product of 64 MB, in a process that may allocate only 20 MB more."""
    result = run(SHORT_OF_MEMORY, tmp_path)
    assert result.stdout == "onnxruntime found no memory for a tensor\n", result.stderr
