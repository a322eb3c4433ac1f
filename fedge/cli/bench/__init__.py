"""`fedge bench`: measure this machine, and what sending costs."""

import argparse
from pathlib import Path
from typing import Protocol

from fedge.cli.bench import aggregation, attacks, codecs, device, federation, kernels


class _Kind(Protocol):
    """What the module of a kind gives."""

    HELP: str
    DESCRIPTION: str

    def configure(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, args: argparse.Namespace) -> int: ...


_KINDS: dict[str, _Kind] = {
    "kernels": kernels,
    "codecs": codecs,
    "device": device,
    "aggregation": aggregation,
    "federation": federation,
    "attacks": attacks,
}


def configure(parser: argparse.ArgumentParser) -> None:
    """What can be measured."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="WHAT")
    for name, module in _KINDS.items():
        kind = kinds.add_parser(name, help=module.HELP, description=module.DESCRIPTION)
        module.configure(kind)
        kind.add_argument(
            "--json",
            type=Path,
            metavar="FILE",
            default=argparse.SUPPRESS,  # so as not to hide one given before the kind
            help="write the result to FILE as JSON",
        )
        kind.add_argument("--markdown", action="store_true", help="print tables for a document")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    return _KINDS[args.kind].run(args)
