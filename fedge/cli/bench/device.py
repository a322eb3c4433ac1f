"""`fedge bench device`: what taking part costs a device."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fedge.bench.device.options import DEFAULTS, Options
from fedge.cli import logs
from fedge.cli.bench.common import facts, positive, tell
from fedge.cli.commands import write_json
from fedge.errors import ConfigError

if TYPE_CHECKING:  # loads NumPy
    from fedge.bench.device.figures import Card

HELP = "disk, start-up, memory, bytes and CPU time of a device, beside Flower's client"
DESCRIPTION = (
    "A real device takes part in a job of a real aggregator, and its costs are read while it does."
    " Without --broker all of it runs on this machine. With --broker this process is the device of"
    " a job that runs elsewhere, as on a board, and needs nothing but what a device needs."
)

_OF_A_DEVICE = ("broker", "password_file", "fleet", "job", "id", "data", "engine")


def configure(parser: argparse.ArgumentParser) -> None:
    """The work when all runs here, and the job when it runs elsewhere."""
    add = parser.add_argument
    add(
        "--repeats",
        type=_count,
        default=DEFAULTS.repeats,
        metavar="N",
        help="start-ups, 0 for none (%(default)s)",
    )
    add(
        "--engine",
        choices=["auto", "onnxruntime", "reference"],
        default=DEFAULTS.engine,
        help="what trains (%(default)s)",
    )
    here = parser.add_argument_group("all on this machine").add_argument
    here("--rounds", type=positive, default=DEFAULTS.rounds, metavar="N", help="(%(default)s)")
    here("--local-steps", type=positive, metavar="N", help="(as in fedge demo)")
    here("--batch-size", type=positive, metavar="N", help="(as in fedge demo)")
    here("--codec", metavar="SPEC", help="(as in fedge demo)")
    here("--downlink-codec", metavar="SPEC", help="(as in fedge demo)")
    here("--peers", action="store_true", help="also Flower's client with torch")
    here("--peer-python", metavar="PROGRAM", help="the Python that has flwr and torch (this one)")
    there = parser.add_argument_group("as the device of a job elsewhere").add_argument
    there("--broker", metavar="URL", help="mqtt://host:port")
    there("--password-file", type=Path, metavar="FILE", help="the password of the URL's user")
    there("--data", type=Path, metavar="FILE.npz", help="the device's examples")
    there("--fleet", metavar="NAME", help="(as in fedge device)")
    there("--job", metavar="NAME", help="(as in fedge device)")
    there("--id", default="card", help="the device's name (%(default)s)")
    there("--state-dir", type=Path, metavar="FOLDER", help="an empty one (a temporary one)")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from fedge.bench.device.report import as_json, text  # noqa: PLC0415 - only what is asked for

    start = time.perf_counter()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # as `fedge device` does
        os.environ.setdefault(name, "1")
    cards, missing = ([_take_part(args)], []) if args.broker else _everything(args)
    print(text(cards, missing, as_markdown=args.markdown))
    used = facts(start)
    write_json(args.json, as_json(cards, missing) | used)
    return 0


def _everything(args: argparse.Namespace) -> "tuple[list[Card], list[str]]":
    from fedge.bench.device.native import measure  # noqa: PLC0415 - needs onnx

    if args.data is not None:
        raise ConfigError("--data is for a job elsewhere: give --broker too")
    result = measure(
        Options(
            rounds=args.rounds,
            local_steps=args.local_steps,
            batch_size=args.batch_size,
            codec=args.codec,
            downlink_codec=args.downlink_codec,
            repeats=args.repeats,
            engine=args.engine,
            peer_python=args.peer_python or (sys.executable if args.peers else None),
        ),
        tell,
    )
    return result.cards, result.missing


def _take_part(args: argparse.Namespace) -> "Card":
    from fedge.bench.device.probe import measure  # noqa: PLC0415 - loads NumPy
    from fedge.cli.passwords import warn_of_password  # noqa: PLC0415
    from fedge.config.device import DeviceConfig  # noqa: PLC0415
    from fedge.config.settings import load  # noqa: PLC0415

    logs.set_up("warning", f"device {args.id}")
    warn_of_password(args.broker, "--password-file")
    with tempfile.TemporaryDirectory(prefix="fedge-card-") as folder:
        given = {name: vars(args)[name] for name in _OF_A_DEVICE}
        given["state_dir"] = args.state_dir or Path(folder)
        config = load(DeviceConfig, file=None, env={}, flags=given)
        return measure(config, repeats=args.repeats)


def _count(text: str) -> int:
    return positive(text) if text != "0" else 0
