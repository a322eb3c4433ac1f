"""The check finds artifacts whose gradient is wrong, and passes those whose is right."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from fedge.artifact import Artifact
from fedge.build import build_artifact, check_artifact
from fedge.cli.main import main
from fedge.errors import ArtifactError
from tests.unit.build.models import model_of, perceptron


def artifact() -> Artifact:
    return build_artifact(perceptron(), loss="cross_entropy", batch_size=4)


def spoiled(sound: Artifact, slot: str, factor: float) -> Artifact:
    """The same artifact, one gradient multiplied by a number."""
    model = onnx.load_from_string(sound.train_graph)
    name = f"fedge.grad.{slot}"
    for node in model.graph.node:
        node.output[:] = ["before" if output == name else output for output in node.output]
    model.graph.initializer.append(numpy_helper.from_array(np.array(factor, np.float32), "f"))
    model.graph.node.append(onnx.helper.make_node("Mul", ["before", "f"], [name]))
    return replace(sound, train_graph=model.SerializeToString())


def test_a_sound_artifact_passes() -> None:
    report = check_artifact(artifact())
    assert report.is_right
    assert [slot.name for slot in report.slots] == ["w1", "b1", "w2", "b2"]
    assert report.inference_error < 1e-5


@pytest.mark.parametrize("factor", [0.9, -1.0, 1.1])
def test_a_wrong_gradient_is_found_and_named(factor: float) -> None:
    report = check_artifact(spoiled(artifact(), "w1", factor))
    assert not report.is_right
    assert [slot.name for slot in report.slots if not slot.is_right] == ["w1"]


def test_an_inference_graph_of_another_model_is_found() -> None:
    other = perceptron()
    other.graph.node[1].op_type = "Sigmoid"
    infer = build_artifact(other, loss="cross_entropy", batch_size=4).infer_graph
    assert check_artifact(replace(artifact(), infer_graph=infer)).inference_error > 1e-3


def test_a_model_that_mixes_its_examples_is_found() -> None:
    nodes = "h = MatMul(x, w) s = Softmax <axis = 0> (h) y = Add(h, s)"
    model = model_of(nodes, w=(4, 3))
    assert check_artifact(build_artifact(model, loss="mse", batch_size=4)).inference_error > 1e-3


def test_a_graph_that_does_not_load_is_refused() -> None:
    with pytest.raises(ArtifactError):
        check_artifact(replace(artifact(), train_graph=b"nothing"))
    with pytest.raises(ArtifactError):
        check_artifact(replace(artifact(), infer_graph=b"nothing"))


def test_the_commands_build_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(perceptron(), tmp_path / "m.onnx")
    paths = [str(tmp_path / name) for name in ("m.onnx", "m.fedge", "report.json")]
    made = main(["build", paths[0], "-o", paths[1], "--loss", "cross_entropy", "--trainable", "*2"])
    assert made == 0
    assert main(["check", paths[1], "--json", paths[2]]) == 0
    assert "w2" in capsys.readouterr().out
    assert '"is_right": true' in Path(paths[2]).read_text()


def test_the_command_refuses_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.onnx").write_bytes(b"nothing")
    argv = ["build", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "m.fedge"), "--loss", "mse"]
    assert main(argv) == 5
    assert capsys.readouterr().err.endswith("m.onnx is no ONNX model, or corrupt, or truncated\n")


def test_the_command_says_what_it_found_wrong(tmp_path: Path) -> None:
    path = tmp_path / "m.fedge"
    spoiled(artifact(), "b1", 2.0).save(path)
    assert main(["check", str(path)]) == 4
