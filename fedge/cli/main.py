"""The `fedge` command: finds the chosen command's module, runs it, turns refusals into sentences.

Only the chosen command's module is imported, so `fedge device` never loads
what `fedge demo` needs.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol

from fedge import __version__
from fedge.errors import FedgeError

COMMANDS = {
    "demo": "train a fleet of processes on this machine: broker, aggregator and devices",
    "build": "make a training artifact from an ONNX model",
    "check": "verify an artifact: hashes, shapes, gradient",
    "inspect": "say what a fedge file or payload holds",
    "broker": "run an MQTT broker for a bench or a demo",
    "aggregate": "run the aggregator: rounds, models, what the devices need",
    "device": "run a device: train on its own data when a round asks for it",
    "export": "write a trained model as ONNX for inference",
    "bench": "measure kernels against their peers, codecs by bytes to an accuracy",
}


class Command(Protocol):
    """What a module of `fedge.cli` gives."""

    def configure(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, args: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the result is the process's exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = next((word for word in words if not word.startswith("-")), None)
    try:
        parser, command = _parser(name)
        args = parser.parse_args(words)
        return command.run(args) if command else 0
    except (FedgeError, OSError) as error:
        print(f"fedge: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 1)
    except KeyboardInterrupt:
        return 130


def write_json(path: Path | None, result: object) -> None:
    """Write a command's result where `--json` says."""
    if path is not None:
        path.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")


def _parser(name: str | None) -> tuple[argparse.ArgumentParser, Command | None]:
    parser = argparse.ArgumentParser(
        prog="fedge",
        description="Federated learning for small devices over MQTT.",
        epilog="`fedge COMMAND --help` says what a command takes.",
    )
    parser.add_argument("--version", action="version", version=f"fedge {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = None
    for command, summary in COMMANDS.items():
        sub = commands.add_parser(command, help=summary, description=f"fedge {command}: {summary}.")
        if command == name:
            chosen = _load(command)
            chosen.configure(sub)
            sub.add_argument(
                "--json", type=Path, metavar="FILE", help="write the result to FILE as JSON"
            )
    return parser, chosen


def _load(name: str) -> Command:
    module: Command = import_module(f"fedge.cli.{name}")
    return module
