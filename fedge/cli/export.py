"""`fedge export`: a trained model as ONNX, for inference anywhere."""

import argparse
import hashlib
from pathlib import Path
from typing import Literal, TypeAlias

from fedge.artifact import Artifact, load_artifact
from fedge.cli.commands import write_json
from fedge.cli.screen import say
from fedge.errors import ConfigError
from fedge.storage import write_file
from fedge.types import Vector

_Facts: TypeAlias = dict[str, str | int | float | None]
_Found: TypeAlias = tuple[Artifact, Vector, str, _Facts]


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
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--round",
        type=_round,
        metavar="N",
        help="the model that round N made, or `best` (default: the latest)",
    )
    which.add_argument(
        "--best",
        dest="round",
        action="store_const",
        const="best",
        help="the best model: with the highest accuracy, or the lowest loss where there is none, "
        "on the aggregator's test data or else on the devices' own examples, or by what its "
        "--best-by says",
    )
    parser.add_argument(
        "--personal",
        action="store_true",
        help="STATE is a device's state directory: the model that the device trained for itself "
        "(algorithm ditto)",
    )
    parser.epilog = (
        "The file's metadata_props, named fedge.*, hold its fleet, job, round, accuracy and loss "
        "(on the test data, and on the devices' examples), and the SHA-256 of its parameters and "
        "artifact."
    )


def run(args: argparse.Namespace) -> int:
    """Write the model and say which."""
    artifact, parameters, which, facts = _found(args)
    metadata = {f"fedge.{name}": str(value) for name, value in facts.items() if value is not None}
    model = artifact.to_onnx(parameters, metadata=metadata)
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
            **facts,
        },
    )
    return 0


def _found(args: argparse.Namespace) -> _Found:
    if args.personal:
        return _from_device(args.state, args.round)
    if args.state.is_dir():
        return _from_directory(args.state, args.round)
    return _from_file(args.state, args.round)


def _round(text: str) -> int | Literal["best"]:
    if text == "best":
        return "best"
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a round's number or best, found {text!r}")
    return int(text)


def _from_file(path: Path, round_: int | str | None) -> _Found:
    if round_ is not None:
        raise ConfigError(
            f"{path} is an artifact, which has no rounds: leave out --round and --best"
        )
    artifact = load_artifact(path)
    return artifact, artifact.parameters, "the model before any training", _of_artifact(artifact)


def _from_device(path: Path, round_: int | str | None) -> _Found:
    from fedge.device.state.directory import personal_model  # noqa: PLC0415 - as below

    if round_ is not None:
        raise ConfigError("a device keeps its own model of the last round only: leave out --round")
    artifact, parameters = personal_model(path)
    return artifact, parameters, "the device's own model", _of_artifact(artifact)


def _from_directory(path: Path, round_: int | str | None) -> _Found:
    from fedge.aggregator.state.registry import open_registry  # noqa: PLC0415 - not for a lone artifact

    registry = open_registry(path)
    match round_:
        case None:
            model = registry.latest()
        case int():
            model = registry.model(round_)
        case _:
            model = registry.best()
    made_by = "before any round" if model.round is None else f"of round {model.round}"
    artifact, (fleet, job) = registry.artifact(), registry.job()
    devices_loss, devices_accuracy = registry.by_devices(model) or (None, None)
    facts = {
        "fleet": fleet,
        "job": job,
        "round": model.round,
        "model_sha256": model.sha256.hex(),
        "accuracy": model.accuracy,
        "loss": model.loss,
        "devices_accuracy": devices_accuracy,
        "devices_loss": devices_loss,
        **_of_artifact(artifact),
    }
    return artifact, registry.parameters(model), f"model {model.version} {made_by}", facts


def _of_artifact(artifact: Artifact) -> _Facts:
    return {"artifact_sha256": artifact.sha256}
