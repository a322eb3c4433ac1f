"""`fedge inspect`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedge import codecs
from fedge.cli.main import main
from tests.support import models


def inspected(path: Path) -> dict[str, Any]:
    assert main(["inspect", str(path), "--json", str(path.with_suffix(".json"))]) == 0
    facts: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
    return facts


def test_an_artifact_tells_its_parameters_and_what_it_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = models.softmax(n_in=2, n_out=3)
    artifact.save(tmp_path / "model.fedge")
    facts = inspected(tmp_path / "model.fedge")
    assert facts["kind"] == "artifact"
    assert (facts["n_params"], facts["n_trainable"]) == (9, 9)
    assert facts["inputs"] == {"x": {"dtype": "float32", "shape": [2], "standardize": "none"}}
    assert facts["target"] == {"dtype": "int64", "shape": [], "n_classes": 3}
    assert facts["sha256"] == artifact.sha256
    assert [slot["name"] for slot in facts["layout"]] == ["w", "b"]
    printed = capsys.readouterr().out
    assert artifact.schema.hex() in printed
    assert "2x3" in printed


def test_a_payload_tells_its_header_and_the_size_of_its_values(tmp_path: Path) -> None:
    delta = np.array([0, 3, 0, -4], np.float32)
    stamp = codecs.Stamp(schema=b"abcd", round=7, n_examples=5)
    path = tmp_path / "update.bin"
    path.write_bytes(codecs.get("none").encode(delta, None, np.random.default_rng(0), stamp=stamp))
    facts = inspected(path)
    assert facts["kind"] == "payload"
    assert (facts["schema"], facts["round"], facts["n_examples"]) == (b"abcd".hex(), 7, 5)
    assert (facts["n_params"], facts["norm"], facts["max_abs"]) == (4, 5, 4)
    assert facts["size_bytes"] == path.stat().st_size


def test_a_data_file_tells_its_arrays_clients_and_gaps(tmp_path: Path) -> None:
    x = np.array([[1, np.nan], [2, 3], [4, 5]])
    client, is_test = np.array([1, 1, 2]), np.array([True, False, False])
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(3), client=client, is_test=is_test)
    facts = inspected(tmp_path / "data.npz")
    assert facts == {
        "kind": "data",
        "n_examples": 3,
        "arrays": {
            "x": {"dtype": "float64", "shape": [3, 2]},
            "y": {"dtype": "int64", "shape": [3]},
        },
        "missing": {"x": 1},
        "n_clients": 2,
        "n_test": 1,
    }


def test_damage_is_told_in_one_sentence_with_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = bytearray(models.linear().to_bytes())
    artifact[-100] ^= 1
    delta = np.ones(4, np.float32)
    payload = bytearray(codecs.get("none").encode(delta, None, np.random.default_rng(0)))
    payload[-1] ^= 1
    for data, code in ((artifact, 4), (payload, 3), (b"hello", 2), (b"", 2)):
        (tmp_path / "file").write_bytes(data)
        assert main(["inspect", str(tmp_path / "file")]) == code
        assert capsys.readouterr().err.count("\n") == 1


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err
