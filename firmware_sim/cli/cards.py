"""`python -m firmware_sim cards`: what taking part costs, board by board."""

import argparse
import sys

from fedge.bench.device.options import DEFAULTS, Options
from fedge.bench.machine import describe
from fedge.cli.bench.common import positive
from fedge.cli.commands import write_json
from firmware_sim.bench.cards.report import as_json, text
from firmware_sim.cli.choice import add_boards, chosen_boards
from firmware_sim.errors import EmulationError
from firmware_sim.tiers.named import RUNNING


def configure(parser: argparse.ArgumentParser) -> None:
    """Which boards, for how long, and against which peer."""
    parser.description = (
        "`fedge bench device` on this machine and on every board, each in its own job with"
        " the same examples. A figure that emulation cannot give is a dash with its reason."
    )
    add_boards(parser)
    add = parser.add_argument
    add(
        "--tier",
        choices=RUNNING,
        help="for all boards (default: for each the one that may claim most: system, else board)",
    )
    add(
        "--rounds",
        type=positive,
        default=DEFAULTS.rounds,
        metavar="N",
        help="of training (%(default)s)",
    )
    add(
        "--repeats",
        type=positive,
        default=DEFAULTS.repeats,
        metavar="N",
        help="start-ups here (%(default)s)",
    )
    add("--peer-python", metavar="PROGRAM", help="a Python with flwr and torch, measured here too")
    add("--markdown", action="store_true", help="print the table in Markdown")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from firmware_sim.bench.cards.measure import measure  # noqa: PLC0415 - needs onnx

    options = Options(rounds=args.rounds, repeats=args.repeats, peer_python=args.peer_python)
    found = measure(chosen_boards(args), args.tier, options, _tell)
    missing = [*found.missing, *found.failed]
    print(text(found.columns, missing, as_markdown=args.markdown))
    write_json(args.json, {**as_json(found.columns, missing), "machine": describe()})
    return EmulationError.exit_code if found.failed else 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
