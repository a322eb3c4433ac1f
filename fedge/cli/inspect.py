"""`fedge inspect`: what a fedge file, payload or state directory holds."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fedge import codecs
from fedge.artifact import Artifact
from fedge.artifact.container import MAX_FILE
from fedge.artifact.files import read_file
from fedge.cli.commands import write_json
from fedge.cli.screen import say
from fedge.cli.state import check_name, describe_file, describe_folder
from fedge.data import read_npz
from fedge.errors import ConfigError

_ZIP = b"PK\x03\x04"
_FIRST_MEMBER = slice(30, 43)  # of a zip: where an artifact has the name manifest.json
_PAYLOAD_VERSION = 1  # in the high four bits of the first byte


def configure(parser: argparse.ArgumentParser) -> None:
    """The file."""
    parser.epilog = (
        "Reads artifacts (.fedge), data files (.npz), the payloads of updates, files of events, "
        "and the state directories of devices and aggregators, as a whole or file by file."
    )
    parser.add_argument("file", type=Path, metavar="PATH", help="file or directory to look into")


def run(args: argparse.Namespace) -> int:
    """Print the file's facts, and the artifact's parameters as a table."""
    facts = describe(args.file)
    for name, value in facts.items():
        if name == "layout":
            say(*_table(value))
        elif name in {"files", "jobs", "models"}:
            say(*_rows(value))
        else:
            say(f"{name:<16}{_text(value)}")
    write_json(args.json, facts)
    return 0


def describe(path: Path) -> dict[str, Any]:
    """The facts about a file, as values that JSON can hold.

    Raises:
        ConfigError: if it is not a kind of file that fedge writes or reads.
        FedgeError: if it is of such a kind, but damaged.
    """
    if path.is_dir():
        return describe_folder(path)
    if (facts := describe_file(path)) is not None:
        return facts
    data = read_file(path, MAX_FILE)
    check_name(path, data)
    if data.startswith(_ZIP):
        is_artifact = data[_FIRST_MEMBER] == b"manifest.json"
        return _artifact(Artifact.from_bytes(data)) if is_artifact else _examples(path)
    if data and data[0] >> 4 == _PAYLOAD_VERSION:
        return _payload(data)
    raise ConfigError(
        f"{path} is not an artifact, a data file, a payload or a state file of this release"
    )


def _artifact(artifact: Artifact) -> dict[str, Any]:
    manifest = artifact.manifest
    layout = [
        {
            "name": slot.name,
            "shape": list(slot.shape),
            "kind": slot.kind,
            "trainable": slot.trainable,
            "mean": float(values.mean()),
            "std": float(values.std()),
        }
        for slot in artifact.layout
        for values in [slot.view(artifact.parameters)]
    ]
    return {
        "kind": "artifact",
        "format_version": manifest.format_version,
        "sha256": artifact.sha256,
        "schema": artifact.schema.hex(),
        "n_params": artifact.n_params,
        "n_trainable": artifact.n_trainable,
        "loss": manifest.loss,
        "batch_size": manifest.batch_size,
        "opset": manifest.opset,
        "inputs": {
            spec.name: {
                "dtype": spec.dtype,
                "shape": list(spec.shape),
                "standardize": spec.standardize,
            }
            for spec in manifest.inputs
        },
        "target": {
            "dtype": manifest.target.dtype,
            "shape": list(manifest.target.shape),
            "n_classes": manifest.target.n_classes,
        },
        "size_bytes": {
            "train.onnx": len(artifact.train_graph),
            "eval.onnx": len(artifact.eval_graph),
            "infer.onnx": len(artifact.infer_graph),
            "parameters": 4 * artifact.n_params,
        },
        "layout": layout,
    }


def _examples(path: Path) -> dict[str, Any]:
    data = read_npz(path)
    arrays = data.inputs | {"y": data.targets}
    return {
        "kind": "data",
        "n_examples": data.n_examples,
        "arrays": {
            name: {"dtype": str(array.dtype), "shape": list(array.shape)}
            for name, array in arrays.items()
        },
        "missing": {
            name: int(np.isnan(array).sum())
            for name, array in data.inputs.items()
            if array.dtype.kind == "f"
        },
        "n_clients": None if data.client is None else len(np.unique(data.client)),
        "n_test": data.test().n_examples,
    }


def _payload(data: bytes) -> dict[str, Any]:
    header = codecs.read_header(data)
    values = codecs.decode(data).values.astype(np.float64)
    return {
        "kind": "payload",
        "scheme": header.scheme.name.lower(),
        "schema": header.schema.hex(),
        "round": header.round,
        "n_params": header.n_params,
        "n_kept": header.n_kept,
        "n_examples": header.n_examples,
        "size_bytes": len(data),
        "norm": float(np.sqrt(values @ values)),
        "max_abs": float(np.abs(values).max(initial=0.0)),
    }


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(
            f"{name} ({_text(item)})" if isinstance(item, Mapping) else f"{name} {_text(item)}"
            for name, item in value.items()
        )
    if isinstance(value, list):
        return "x".join(map(str, value)) or "scalar"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def _rows(rows: list[dict[str, Any]]) -> list[str]:
    """Facts of one kind, a line each, in columns."""
    if not rows:
        return [""]
    lines = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
    return ["", *padded]


def _table(layout: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"{'parameter':<40} {'shape':<16} {'kind':<10} {'trained':<8} {'mean':>11} {'std':>11}"
    ]
    lines += [
        f"{slot['name']:<40} {_text(slot['shape']):<16} {slot['kind']:<10}"
        f" {'yes' if slot['trainable'] else 'no':<8} {slot['mean']:>11.4g} {slot['std']:>11.4g}"
        for slot in layout
    ]
    return ["", *lines]
