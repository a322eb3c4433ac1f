"""`fedge build`: an ONNX model in, a training artifact out."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from fedge.bench.table import table
from fedge.builder import Built, Choice, Output, build
from fedge.cli.commands import write_json
from fedge.cli.screen import say
from fedge.text import line
from fedge.training.plan import BATCH_SIZE


def configure(parser: argparse.ArgumentParser) -> None:
    """The model, the loss, and what is to be trained."""
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL.onnx", help="a float32 model")
    add("-o", "--out", type=Path, required=True, metavar="OUT.fedge", help="where to write")
    add("--loss", required=True, metavar="NAME", help="cross_entropy, mse or binary_cross_entropy")
    add(
        "--trainable",
        action="append",
        metavar="GLOB",
        help="train only the parameters whose names match, such as 'fc2.*'; may be given more than"
        " once (all). A name that matches no parameter may be that of a constant in the table",
    )
    add(
        "--freeze",
        action="append",
        default=[],
        metavar="GLOB",
        help="do not train the parameters whose names match; may be given more than once",
    )
    add(
        "--batch-size",
        type=int,
        default=BATCH_SIZE,
        metavar="N",
        help="examples in a step (%(default)s)",
    )
    add(
        "--standardize",
        choices=["federated"],
        help="let the fleet find the mean and scale of each float input, with missing values filled"
        " in by the mean, and with mse those of the target too",
    )
    add(
        "--input-shape",
        action="append",
        default=[],
        type=_input_shape,
        metavar="NAME=N,N,..",
        help="shape of one example, for an input with open axes; may be given more than once",
    )
    add(
        "--output",
        metavar="NAME",
        help="which value holds the scores: an output, or any other value by name (the only output"
        " of floating type); what it does not need is left out",
    )
    add(
        "--input-value",
        action="append",
        default=[],
        type=_input_value,
        metavar="NAME=X[,X..]",
        help="fix an input that is not data, such as a scale or a training mode (true, false)",
    )


def run(args: argparse.Namespace) -> int:
    """Build, write, and say what was made."""
    built = build(
        args.model,
        loss=args.loss,
        trainable=args.trainable,
        freeze=args.freeze,
        batch_size=args.batch_size,
        standardize=args.standardize,
        input_shapes=dict(args.input_shape),
        output=args.output,
        input_values=dict(args.input_value),
    )
    artifact = built.artifact
    artifact.save(args.out)
    write_json(args.json, _summary(built))
    say(*_tensors(built.tensors))
    say(_output(built.output))
    say(
        f"{args.out}: {artifact.n_params} parameters, {artifact.n_trainable} of them trained, "
        f"{args.loss}, batches of {args.batch_size}"
    )
    return 0


def _tensors(choices: Sequence[Choice]) -> list[str]:
    """A table of what the model contains, and in words whatever deserves a second look."""
    numbers = [choice for choice in choices if _is_number(choice)]
    listed = [choice for choice in choices if not _is_number(choice)]
    rows = table(("tensor", "shape", "is"), [_row(choice) for choice in listed]).splitlines()
    reasons = ["why", *(("? " if c.is_doubtful else "") + c.why for c in listed)]
    lines = [f"{row}  {why}" for row, why in zip(rows, reasons, strict=True)]
    if numbers:
        are = "constant that is a single number"
        if len(numbers) > 1:
            are = "constants that are single numbers"
        lines.append(f"and {len(numbers)} {are}")
    if any(choice.is_doubtful for choice in listed):
        lines.append(
            "?: may be meant differently; --trainable NAME trains it, --freeze NAME does not"
        )
    return lines


def _output(output: Output) -> str:
    left_out = ", ".join(map(repr, output.left_out))
    return f"scores: {output.name!r}{f'; left out: {left_out}' if left_out else ''}"


def _is_number(choice: Choice) -> bool:
    return choice.stored.value.size == 1 and not choice.is_parameter and not choice.is_doubtful


def _row(choice: Choice) -> tuple[str, ...]:
    shape = " x ".join(map(str, choice.stored.value.shape)) or "scalar"
    return (line(choice.name), shape, _fate(choice))  # a line end in it would break the table


def _fate(choice: Choice) -> str:
    if not choice.is_parameter:
        return "constant"
    return "trained" if choice.is_trained else "frozen"


def _summary(built: Built) -> dict[str, object]:
    artifact, manifest = built.artifact, built.artifact.manifest
    return {
        "n_params": artifact.n_params,
        "n_trainable": artifact.n_trainable,
        "batch_size": manifest.batch_size,
        "loss": manifest.loss,
        "output": built.output.name,
        "left_out": list(built.output.left_out),
        "inputs": {spec.name: list(spec.shape) for spec in manifest.inputs},
        "trained": [slot.name for slot in artifact.layout if slot.trainable],
        "frozen": [slot.name for slot in artifact.layout if not slot.trainable],
        "tensors": [
            {
                "name": choice.name,
                "shape": list(choice.stored.value.shape),
                "is": _fate(choice),
                "why": choice.why,
                "is_doubtful": choice.is_doubtful,
            }
            for choice in built.tensors
        ],
        "schema": artifact.schema.hex(),
        "sha256": artifact.sha256,
    }


def _input_shape(text: str) -> tuple[str, list[int]]:
    name, _, sizes = text.rpartition("=")
    try:
        return name, [int(size) for size in sizes.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=N,N,..") from None


def _input_value(text: str) -> tuple[str, list[float]]:
    name, _, values = text.rpartition("=")
    try:
        return name, [_number(value.strip()) for value in values.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=X[,X..]") from None


def _number(text: str) -> float:
    """A number, whole where it is written so, or true or false."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return int(text)
    except ValueError:
        return float(text)
