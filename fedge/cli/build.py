"""`fedge build`: an ONNX model in, a training artifact out."""

import argparse
from pathlib import Path

from fedge.artifact import Artifact
from fedge.build import build_artifact
from fedge.cli.commands import write_json

HELP = "make a training artifact from an ONNX model"


def configure(parser: argparse.ArgumentParser) -> None:
    """The model, the loss, and what is to be trained."""
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL.onnx", help="a float32 model, its scores first output")
    add("-o", "--output", type=Path, required=True, metavar="OUT.fedge", help="where to write")
    add("--loss", required=True, metavar="NAME", help="cross_entropy, mse or binary_cross_entropy")
    add(
        "--trainable",
        action="append",
        metavar="GLOB",
        help="train only parameters of such a name, as in 'fc2.*'; may be given again (all)",
    )
    add("--batch-size", type=int, default=16, metavar="N", help="examples a step (%(default)s)")
    add(
        "--standardize",
        choices=["federated"],
        help="let the fleet find mean and scale of each float input; missing values count as mean",
    )
    add(
        "--input-shape",
        action="append",
        default=[],
        type=_input_shape,
        metavar="NAME=N,N,..",
        help="shape of one example, for an input with open axes; may be given again",
    )


def run(args: argparse.Namespace) -> int:
    """Build, write, and say what was made."""
    artifact = build_artifact(
        args.model,
        loss=args.loss,
        trainable=args.trainable,
        batch_size=args.batch_size,
        standardize=args.standardize,
        input_shapes=dict(args.input_shape),
    )
    artifact.save(args.output)
    write_json(args.json, _summary(artifact))
    print(
        f"{args.output}: {artifact.n_params} parameters, {artifact.n_trainable} of them trained, "
        f"{args.loss}, batches of {args.batch_size}"
    )
    return 0


def _summary(artifact: Artifact) -> dict[str, object]:
    manifest = artifact.manifest
    return {
        "n_params": artifact.n_params,
        "n_trainable": artifact.n_trainable,
        "batch_size": manifest.batch_size,
        "loss": manifest.loss,
        "inputs": {spec.name: list(spec.shape) for spec in manifest.inputs},
        "trained": [slot.name for slot in artifact.layout if slot.trainable],
        "frozen": [slot.name for slot in artifact.layout if not slot.trainable],
        "schema": artifact.schema.hex(),
        "sha256": artifact.sha256,
    }


def _input_shape(text: str) -> tuple[str, list[int]]:
    name, _, sizes = text.rpartition("=")
    try:
        return name, [int(size) for size in sizes.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=N,N,..") from None
