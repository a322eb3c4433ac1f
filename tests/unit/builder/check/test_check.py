"""The check finds artifacts whose gradient is wrong, and passes those whose gradient is right."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from fedge.artifact import Artifact
from fedge.builder import CheckReport, build_artifact, check_artifact
from fedge.builder.check.witness import Witness
from fedge.cli.main import main
from fedge.errors import ArtifactError
from fedge.training.engines import EngineName
from fedge.types import Vector
from tests.support.hostile import HOSTILE
from tests.support.networks import build_network
from tests.support.onnx_texts import model_of, perceptron
from tests.support.planted_errors import spoiled


def artifact() -> Artifact:
    return build_artifact(perceptron(), loss="cross_entropy", batch_size=4)


def wrong(report: CheckReport) -> list[str]:
    return [slot.name for slot in report.slots if not slot.is_right]


def test_a_sound_artifact_passes() -> None:
    report = check_artifact(artifact())
    assert report.is_right
    assert [slot.name for slot in report.slots] == ["w1", "b1", "w2", "b2"]
    assert {slot.verdict for slot in report.slots} == {"right"}
    assert report.inference_error < 1e-5


@pytest.mark.parametrize("factor", [0, 0.99, -1, 1.01])
def test_a_wrong_gradient_is_found_and_named(factor: float) -> None:
    report = check_artifact(spoiled(artifact(), ["w1"], factor))
    assert not report.is_right
    assert wrong(report) == ["w1"]


@pytest.mark.parametrize("name", ["digits", "waves", "words", "attention"])
def test_an_error_of_one_percent_in_any_slot_is_found_and_named(name: str) -> None:
    sound = build_network(name, batch_size=6)
    report = check_artifact(sound)
    assert report.is_right, wrong(report)
    for slot in report.slots:
        assert wrong(check_artifact(spoiled(sound, [slot.name], 1.01))) == [slot.name]


def test_a_missing_part_of_a_gradient_is_found() -> None:
    """Along the remaining part of the gradient everything agrees."""
    kept = np.array([1, 1, 0, 1, 1])  # of b1; and so of each row of w1
    assert wrong(check_artifact(spoiled(artifact(), ["b1"], kept))) == ["b1"]
    assert wrong(check_artifact(spoiled(artifact(), ["w1"], kept))) == ["w1"]


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e2])
def test_the_size_of_a_gradient_does_not_matter(scale: float) -> None:
    """A branch as faint as ConvNeXt's: its weights' gradients are a millionth of the others'."""
    model = model_of(
        "a = MatMul(x, w) t = Tanh(a) u = MatMul(t, v) s = Mul(u, c) y = Add(s, b)",
        w=(4, 5), v=(5, 3), c=[scale], b=(3,),
    )  # fmt: skip
    sound = build_artifact(model, loss="cross_entropy", batch_size=6, trainable=["w", "v", "b"])
    assert wrong(check_artifact(sound)) == []
    for slot in ("w", "v", "b"):
        assert wrong(check_artifact(spoiled(sound, [slot], 1.01))) == [slot]


def test_a_parameter_that_changes_nothing_has_no_gradient_and_is_not_called_wrong() -> None:
    """Softmax is unaffected by what is added to all its inputs."""
    model = model_of("h = MatMul(x, w) y = Add(h, shift)", w=(4, 3), shift=[0.5])
    report = check_artifact(build_artifact(model, loss="cross_entropy", batch_size=4))
    assert report.is_right
    assert {slot.name: slot.verdict for slot in report.slots} == {"w": "right", "shift": "none"}


def test_a_gradient_where_none_should_be_is_found() -> None:
    """As if the shift above had another parameter's gradient."""
    model = model_of("h = MatMul(x, w) y = Add(h, shift)", w=(4, 3), shift=[0.5])
    sound = build_artifact(model, loss="cross_entropy", batch_size=4)
    graph = onnx.load_from_string(sound.train_graph)
    for node in graph.graph.node:
        node.output[:] = ["was" if o == "fedge.grad.shift" else o for o in node.output]
    sums = onnx.helper.make_node("ReduceMax", ["fedge.grad.w"], ["top"], keepdims=0)
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "one"))
    shaped = onnx.helper.make_node("Reshape", ["top", "one"], ["fedge.grad.shift"])
    graph.graph.node.extend([sums, shaped])
    planted = replace(sound, train_graph=graph.SerializeToString())
    assert wrong(check_artifact(planted)) == ["shift"]


def test_zero_biases_after_a_zero_background_raise_no_alarm() -> None:
    """All of these start on Relu's corner, where the loss has no slope."""
    model = model_of(
        "c = Conv(x, w, b) r = Relu(c) f = Flatten(r) y = Gemm(f, v, d)",
        inputs="float[N, 1, 6, 6] x",
        w=(2, 1, 3, 3), b=[0.0, 0.0], v=(32, 3), d=[0.0, 0.0, 0.0],
    )  # fmt: skip
    for seed in range(5):
        assert check_artifact(
            build_artifact(model, loss="cross_entropy", batch_size=6), seed=seed
        ).is_right


def test_a_runtime_with_a_different_gradient_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    by_engine = Witness.gradient_by

    def off(self: Witness, engine: EngineName) -> Vector:
        gradient = by_engine(self, engine)
        if engine == "onnxruntime":
            self.slots[2].view(gradient)[...] *= 1.2
        return gradient

    monkeypatch.setattr(Witness, "gradient_by", off)
    assert wrong(check_artifact(artifact())) == ["w2"]


def test_a_gradient_that_is_nan_is_found() -> None:
    model = model_of("h = Sqrt(x) y = MatMul(h, w)", w=(4, 3))  # of negative numbers
    assert wrong(check_artifact(build_artifact(model, loss="mse", batch_size=4))) == ["w"]


def test_the_same_seed_gives_the_same_report() -> None:
    sound = artifact()
    assert check_artifact(sound, seed=3) == check_artifact(sound, seed=3)


def test_progress_names_every_slot() -> None:
    lines: list[str] = []
    check_artifact(artifact(), tell=lines.append)
    assert lines[1:] == ["1 of 4: w1", "2 of 4: b1", "3 of 4: w2", "4 of 4: b2"]


def test_an_inference_graph_of_another_model_is_found() -> None:
    other = perceptron()
    other.graph.node[1].op_type = "Sigmoid"
    infer = build_artifact(other, loss="cross_entropy", batch_size=4).infer_graph
    assert check_artifact(replace(artifact(), infer_graph=infer)).inference_error > 1e-3


def test_a_model_that_mixes_its_examples_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "fedge.builder.artifact.check_forward", lambda *given: given[2][0]
    )  # it refuses them
    nodes = "h = MatMul(x, w) s = Softmax <axis = 0> (h) y = Add(h, s)"
    model = model_of(nodes, w=(4, 3))
    assert check_artifact(build_artifact(model, loss="mse", batch_size=4)).inference_error > 1e-3


def test_a_graph_that_does_not_load_is_refused() -> None:
    sound = artifact()
    with pytest.raises(ArtifactError, match=r"train\.onnx"):
        replace(sound, train_graph=b"nothing")
    with pytest.raises(ArtifactError, match=r"eval\.onnx"):
        replace(sound, eval_graph=b"nothing")
    with pytest.raises(ArtifactError, match=r"infer\.onnx"):
        replace(sound, infer_graph=b"nothing")


@pytest.mark.parametrize("command", ["check", "inspect"])
@pytest.mark.parametrize(
    "name", ["reads a file", "loops", "is huge", "has an operator of its own", "is no artifact"]
)
def test_commands_refuse_a_hostile_artifact_before_an_engine_sees_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, name: str
) -> None:
    data, words = HOSTILE[name]
    (tmp_path / "m.fedge").write_bytes(data)
    assert main([command, str(tmp_path / "m.fedge")]) != 0
    assert words in capsys.readouterr().err


def test_the_commands_build_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(perceptron(), tmp_path / "m.onnx")
    paths = [str(tmp_path / name) for name in ("m.onnx", "m.fedge", "report.json")]
    made = main(["build", paths[0], "-o", paths[1], "--loss", "cross_entropy", "--trainable", "*2"])
    assert made == 0
    assert main(["check", paths[1], "--json", paths[2]]) == 0
    assert "w2 [5, 3]" in capsys.readouterr().out
    assert '"is_right": true' in Path(paths[2]).read_text()


def test_the_command_refuses_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.onnx").write_bytes(b"nothing")
    argv = ["build", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "m.fedge"), "--loss", "mse"]
    assert main(argv) == 5
    assert capsys.readouterr().err.endswith(
        "m.onnx is not an ONNX model, or corrupt, or truncated\n"
    )


def test_the_command_says_what_it_found_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.fedge"
    spoiled(artifact(), ["b1"], 1.01).save(path)
    assert main(["check", str(path)]) == 4
    assert "WRONG: gradient of b1" in capsys.readouterr().out
