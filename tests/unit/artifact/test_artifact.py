"""The artifact as a value and as a file."""

import dataclasses
import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from fedge.artifact import Artifact, container, load_artifact
from fedge.artifact.artifact import MEMBERS
from fedge.errors import ArtifactError, ConfigError, StorageError
from tests.support import models
from tests.support.hostile import repacked


def same(a: Artifact, b: Artifact) -> bool:
    return (a.manifest, a.train_graph, a.eval_graph, a.infer_graph, a.parameters.tobytes()) == (
        b.manifest,
        b.train_graph,
        b.eval_graph,
        b.infer_graph,
        b.parameters.tobytes(),
    )


def test_the_file_is_a_zip_whose_manifest_has_the_hashes(tmp_path: Path) -> None:
    artifact = models.linear()
    artifact.save(tmp_path / "model.fedge")
    with zipfile.ZipFile(tmp_path / "model.fedge") as file:
        assert file.namelist() == list(MEMBERS)
        manifest = json.loads(file.read("manifest.json"))
        for name in MEMBERS[1:]:
            assert manifest["members"][name] == hashlib.sha256(file.read(name)).hexdigest()
        assert file.read("parameters.f32") == artifact.parameters.astype("<f4").tobytes()


def test_load_returns_what_was_saved(tmp_path: Path) -> None:
    artifact = models.softmax()
    artifact.save(tmp_path / "model.fedge")
    assert same(load_artifact(tmp_path / "model.fedge"), artifact)
    assert same(load_artifact(str(tmp_path / "model.fedge")), artifact)
    assert same(load_artifact(artifact.to_bytes()), artifact)


def test_the_bytes_are_the_same_in_another_process() -> None:
    program = "from tests.support import models; print(models.linear().sha256)"
    again = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert again.stdout.strip() == models.linear().sha256


def test_every_flipped_bit_is_refused() -> None:
    data = models.linear().to_bytes()
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(ArtifactError):
            load_artifact(bytes(damaged))


def test_a_member_that_does_not_fit_its_hash_is_refused() -> None:
    data = models.linear().to_bytes()
    parts = [bytes(part) for part in container.unpack(data, MEMBERS)]
    parts[1] += b"\0"
    with pytest.raises(ArtifactError, match="SHA-256"):
        load_artifact(container.pack(list(zip(MEMBERS, parts, strict=True))))


@pytest.mark.parametrize("values", [b"", bytes(8), bytes(13), bytes(16)])
def test_parameters_of_another_length_are_refused(values: bytes) -> None:
    with pytest.raises(ArtifactError, match="12 bytes"):
        load_artifact(repacked(models.linear(), parameters_f32=values))


def test_parameters_that_are_not_finite_are_refused() -> None:
    values = np.array([0, np.nan, 0], "<f4").tobytes()
    with pytest.raises(ArtifactError, match="finite"):
        load_artifact(repacked(models.linear(), parameters_f32=values))


def test_parameters_are_a_read_only_copy() -> None:
    artifact = models.linear()
    mine = np.arange(3, dtype=np.float32)
    other = dataclasses.replace(artifact, parameters=mine)
    mine[:] = -1
    np.testing.assert_array_equal(other.parameters, [0, 1, 2])
    with pytest.raises(ValueError, match="read-only"):
        other.parameters[0] = 1


def test_counts_follow_the_layout() -> None:
    artifact = models.linear(n_in=5, n_out=2, train_bias=False)
    assert (artifact.n_params, artifact.n_trainable) == (12, 10)


def test_export_writes_the_model_with_the_given_parameters(tmp_path: Path) -> None:
    artifact = models.linear()
    artifact.export_onnx(np.array([1, 2, 3], np.float32), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    np.testing.assert_array_equal(values["w"], [[1], [2]])
    np.testing.assert_array_equal(values["b"], [3])


def test_export_refuses_another_number_of_parameters() -> None:
    with pytest.raises(ArtifactError, match="parameters"):
        models.linear().to_onnx(np.zeros(2, np.float32))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        load_artifact("/nowhere/model.fedge")


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.fedge"
    with path.open("wb") as file:
        file.truncate(2**31 + 1)  # sparse: takes no disk
    with pytest.raises(ArtifactError, match="at most"):
        load_artifact(path)


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        models.linear().save(tmp_path / "nowhere" / "model.fedge")
    (tmp_path / "model.fedge").mkdir()  # cannot be replaced by a file
    with pytest.raises(StorageError):
        models.linear().save(tmp_path / "model.fedge")
    assert [path.name for path in tmp_path.iterdir()] == ["model.fedge"]
