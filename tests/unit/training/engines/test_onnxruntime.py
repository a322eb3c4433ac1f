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


def test_an_onnxruntime_that_already_reports_is_refused(tmp_path: Path) -> None:
    result = run(
        "import onnxruntime\n" + PROGRAM.replace('assert "onnxruntime" not', "#"), tmp_path
    )
    assert result.returncode == 1
    assert "ConfigError: onnxruntime was imported with telemetry on" in result.stderr
