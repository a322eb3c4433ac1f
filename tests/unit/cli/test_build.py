"""`fedge build` says what becomes of every tensor, and does what it is told instead."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from fedge.artifact import load_artifact
from fedge.cli.main import main
from fedge.training import Trainer
from tests.support.traced_models import by_torch, model_of, random, sinusoids, store


def encoder(path: Path) -> Path:
    """A mask, a table of sinusoids, a scalar of a module and two matrices."""
    nodes = (
        "eight = Constant <value = float {8}> () a = MatMul(x, in) b = Add(a, pe)"
        "c = Add(b, mask) d = Mul(c, gate) e = Div(d, eight)"
        "m = ReduceMean <axes = [1], keepdims = 0> (e) y = MatMul(m, out)"
    )
    model = by_torch(model_of(nodes, inputs="float[N, 5, 3] x"))
    store(model, **{"in": random(3, 8)}, pe=sinusoids(5, 8), gate=0.5, out=random(8, 2))
    store(model, mask=np.array([0, 0, 0, 0, 0, 0, -1e9, -1e9]))
    onnx.save(model, path / "m.onnx")
    return path / "m.onnx"


def build(folder: Path, *words: str) -> dict[str, Any]:
    argv = ["build", str(encoder(folder)), "-o", str(folder / "m.fedge"), "--loss", "cross_entropy"]
    assert main([*argv, "--json", str(folder / "m.json"), *words]) == 0
    facts: dict[str, Any] = json.loads((folder / "m.json").read_text())
    return {tensor["name"]: tensor["is"] for tensor in facts["tensors"]}


def test_the_table_says_what_is_trained_what_is_not_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fates = build(tmp_path)
    constant, trained = dict.fromkeys(["pe", "mask", "eight"], "constant"), ["in", "gate", "out"]
    assert fates == dict.fromkeys(trained, "trained") | constant
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "weight of MatMul" in lines["in"]
    assert lines["pe"].split()[1:7] == ["5", "x", "8", "constant", "?", "a"]
    assert lines["mask"].endswith("constant  a mask")
    assert lines["gate"].split()[1:4] == ["scalar", "trained", "?"]
    assert lines["and"] == "and 1 constant that is a single number"


def test_what_the_rule_leaves_out_is_no_part_of_a_delta(tmp_path: Path) -> None:
    build(tmp_path)
    artifact = load_artifact(tmp_path / "m.fedge")
    assert {slot.name for slot in artifact.layout} == {"in", "gate", "out"}
    inputs, targets = {"x": random(16, 5, 3)}, np.zeros(16, np.int64)
    _, gradient = Trainer(artifact).loss_and_gradient(artifact.parameters, inputs, targets)
    assert gradient.size == artifact.n_trainable == 3 * 8 + 1 + 8 * 2
    artifact.export_onnx(artifact.parameters, tmp_path / "out.onnx")
    stored = onnx.load(tmp_path / "out.onnx").graph.initializer
    (pe,) = (onnx.numpy_helper.to_array(tensor) for tensor in stored if tensor.name == "pe")
    np.testing.assert_array_equal(pe, sinusoids(5, 8).astype(np.float32))


def test_a_constant_is_trained_when_it_is_asked_for(tmp_path: Path) -> None:
    fates = build(tmp_path, "--trainable", "*", "--trainable", "pe")
    assert fates["pe"] == fates["in"] == "trained"
    assert fates["mask"] == "constant"


def test_freezing_keeps_a_parameter_and_does_not_train_it(tmp_path: Path) -> None:
    fates = build(tmp_path, "--freeze", "ga*")
    assert (fates["gate"], fates["in"]) == ("frozen", "trained")
    slots = {slot.name: slot.trainable for slot in load_artifact(tmp_path / "m.fedge").layout}
    assert slots == {"in": True, "out": True, "gate": False}


@pytest.mark.parametrize("option", ["--trainable", "--freeze"])
def test_a_pattern_that_matches_nothing_is_refused(
    tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["build", str(encoder(tmp_path)), "-o", str(tmp_path / "m.fedge"), "--loss", "mse"]
    assert main([*argv, option, "nobody*"]) != 0
    assert "'nobody*' matches no parameter" in capsys.readouterr().err


def several(path: Path) -> Path:
    """A label and two outputs of numbers, and a scalar that scales."""
    nodes = "s = Mul(x, scale) z = MatMul(s, w) y = Softmax(z) label = ArgMax <axis = 1> (y)"
    outputs = "int64[N, 1] label, float[N, 3] y, float[N, 3] z"
    model = model_of(nodes, inputs="float[N, 4] x, float scale", outputs=outputs)
    onnx.save(store(model, w=random(4, 3)), path / "m.onnx")
    return path / "m.onnx"


def test_the_output_and_fixed_inputs_are_named_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["build", str(several(tmp_path)), "-o", str(tmp_path / "m.fedge"), "--loss", "mse"]
    assert main([*argv, "--input-value", "scale=0.5"]) != 0
    assert "'y', 'z'; name the value to train with --output NAME" in capsys.readouterr().err
    argv += ["--json", str(tmp_path / "m.json"), "--output", "z"]
    assert main(argv) != 0
    assert "--input-value" in capsys.readouterr().err
    assert main([*argv, "--input-value", "scale=0.5"]) == 0
    assert "scores: 'z'; left out: 'label', 'y'" in capsys.readouterr().out
    facts = json.loads((tmp_path / "m.json").read_text())
    assert (facts["output"], facts["left_out"]) == ("z", ["label", "y"])
    assert facts["inputs"] == {"x": [4]}


@pytest.mark.parametrize("value", ["scale", "scale=loud", "scale="])
def test_a_value_that_is_no_number_is_refused(
    tmp_path: Path, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["build", str(several(tmp_path)), "-o", str(tmp_path / "m.fedge"), "--loss", "mse"]
    with pytest.raises(SystemExit):
        main([*argv, "--input-value", value])
    assert f"'{value}' is not NAME=X[,X..]" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["true", "False", "1", "0"])
def test_a_training_mode_is_said_in_words_or_numbers(tmp_path: Path, mode: str) -> None:
    nodes = "h = MatMul(x, w) y = Dropout(h, ratio, training_mode)"
    model = model_of(nodes, inputs="float[N, 4] x, bool training_mode")
    onnx.save(store(model, w=random(4, 3), ratio=np.asarray(0.5)), tmp_path / "m.onnx")
    argv = ["build", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "m.fedge"), "--loss", "mse"]
    assert main([*argv, "--input-value", f"training_mode={mode}"]) == 0
