"""`fedge export`: a trained model as ONNX, for inference anywhere."""

import argparse
import hashlib
from pathlib import Path

from fedge.artifact import Artifact, load_artifact
from fedge.cli.commands import write_json
from fedge.cli.screen import say
from fedge.errors import ConfigError
from fedge.storage import write_file
from fedge.types import Vector

HELP = "write a trained model as ONNX for inference"


def configure(parser: argparse.ArgumentParser) -> None:
    """STATE, where to write, and which round."""
    parser.add_argument(
        "state",
        type=Path,
        metavar="STATE",
        help="an aggregator's state directory, or an artifact for the model it starts from",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="MODEL.onnx", help="where to write it"
    )
    parser.add_argument(
        "--round", type=int, metavar="N", help="the model that round N made (default: the latest)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the model and say which."""
    from_directory = args.state.is_dir()
    artifact, parameters, which = (
        _from_directory(args.state, args.round)
        if from_directory
        else _from_file(args.state, args.round)
    )
    model = artifact.to_onnx(parameters)
    write_file(args.output, model)
    digest = hashlib.sha256(model).hexdigest()
    say(f"{args.output}: {which}, {artifact.n_params} parameters, SHA-256 {digest}")
    write_json(
        args.json,
        {
            "model": str(args.output),
            "sha256": digest,
            "source": which,
            "n_params": artifact.n_params,
        },
    )
    return 0


def _from_file(path: Path, round_: int | None) -> tuple[Artifact, Vector, str]:
    if round_ is not None:
        raise ConfigError(f"{path} is an artifact, which knows no rounds: leave out --round")
    artifact = load_artifact(path)
    return artifact, artifact.parameters, "the model before any training"


def _from_directory(path: Path, round_: int | None) -> tuple[Artifact, Vector, str]:
    from fedge.aggregator.registry import open_registry  # noqa: PLC0415 - not for a lone artifact

    registry = open_registry(path)
    model = registry.latest() if round_ is None else registry.model(round_)
    made_by = "before any round" if model.round is None else f"of round {model.round}"
    return registry.artifact(), registry.parameters(model), f"model {model.version} {made_by}"
