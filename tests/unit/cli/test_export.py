"""`fedge export`."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from fedge.cli.main import main
from tests.support import models


def test_an_artifact_is_exported_with_its_first_parameters(tmp_path: Path) -> None:
    artifact = models.linear(n_in=2, n_out=1)
    artifact.save(tmp_path / "model.fedge")
    target, result = tmp_path / "model.onnx", tmp_path / "result.json"
    words = ["export", str(tmp_path / "model.fedge"), "-o", str(target), "--json", str(result)]
    assert main(words) == 0
    x = np.array([[1, 2], [3, 4]], np.float32)
    (found,) = ort.InferenceSession(str(target)).run(None, {"x": x})
    wanted = x @ artifact.parameters[:2, None] + artifact.parameters[2]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    facts = json.loads(result.read_text())
    assert facts["sha256"] == hashlib.sha256(target.read_bytes()).hexdigest()


def test_an_artifact_has_no_rounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models.linear().save(tmp_path / "model.fedge")
    words = ["export", str(tmp_path / "model.fedge"), "-o", str(tmp_path / "m"), "--round", "3"]
    assert main(words) == 2
    assert "--round" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_what_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path / "nowhere"), "-o", str(tmp_path / "m")]) == 2
    assert "nowhere" in capsys.readouterr().err
