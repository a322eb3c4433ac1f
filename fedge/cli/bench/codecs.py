"""`fedge bench codecs`: count the bytes that a federation sends until it is good enough."""

import argparse
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fedge.bench.codecs.setting import Setting
from fedge.cli.bench.common import facts, positive, share
from fedge.cli.bench.playing import play
from fedge.cli.commands import write_json
from fedge.cli.screen import say
from fedge.errors import MissingDependencyError
from fedge.setting import default_of

if TYPE_CHECKING:  # they need onnx; a board that runs kernels need not have it
    from fedge.bench.codecs.grid import Grid
    from fedge.bench.codecs.run import Result

HELP = "train federations until they reach an accuracy, and count every byte"
DESCRIPTION = "Real training and real payloads in one process; MQTT's own bytes are extra."

_START = Setting(task="", scheme="")


def configure(parser: argparse.ArgumentParser) -> None:
    """Which tasks, which schemes, which federations."""
    add = parser.add_argument
    parser.epilog = (
        "A scheme is UP or UP,DOWN: a codec's spec, stc-gzip or powersgd, for updates; and one for"
        " the differences between models, in place of whole float32 models."
    )
    add("--tasks", nargs="+", metavar="TASK", help="digits, waves, words (all)")
    add("--data", type=Path, action="append", metavar="FILE.npz", help="a task of your own data")
    add("--target", type=share, metavar="A", help="accuracy to reach, 0 to 1 (the task's)")
    add("--specs", nargs="+", metavar="SCHEME", help="schemes beside float32 (a dozen)")
    add("--seeds", type=positive, default=3, metavar="N", help="runs of each (%(default)s)")
    add("--devices", type=positive, default=_START.n_devices, metavar="N", help="(%(default)s)")
    add("--rounds", type=positive, default=_START.rounds, metavar="N", help="at most (%(default)s)")
    add(
        "--local-steps",
        type=positive,
        default=_START.local_steps,
        metavar="N",
        help="in a round (%(default)s)",
    )
    add("--lr", type=float, help="the devices' learning rate (the task's)")
    add("--strategy", metavar="SPEC", help="(as in fedge aggregate)")
    add(
        "--split",
        choices=["both", "alike", "unlike"],
        default="both",
        help="how examples are dealt out: evenly, or by the file's clients or a Dirichlet draw",
    )
    add(
        "--participation",
        type=share,
        nargs="+",
        metavar="SHARE",
        help="of devices in a round (1 and 0.2)",
    )
    add("--quick", action="store_true", help="one seed, few schemes, unlike, all devices")
    add("--jobs", type=positive, default=1, metavar="N", help="processes at a time (%(default)s)")
    add("--resume", type=Path, metavar="FILE", help="keep finished runs here, and skip them")
    add("--plot", type=Path, metavar="FILE.png", help="accuracy against bytes")


def run(args: argparse.Namespace) -> int:
    """Play all runs and print."""
    if find_spec("onnx") is None:
        raise MissingDependencyError("fedge bench codecs needs onnx: pip install 'fedge[bench]'")
    from fedge.bench.codecs import plot, report  # noqa: PLC0415 - needs onnx
    from fedge.bench.codecs.grid import summarise  # noqa: PLC0415
    from fedge.bench.codecs.run import Result  # noqa: PLC0415
    from fedge.bench.codecs.run import run as trained  # noqa: PLC0415

    start = time.perf_counter()
    if args.plot:
        plot.check_matplotlib()
    results = play(
        _grid(args).settings(),
        trained,
        kind=Result,
        file=args.resume,
        n_jobs=args.jobs,
        describe=_told,
    )
    lines = summarise(results)
    print(report.tables(lines, as_markdown=args.markdown))
    if args.plot:
        plot.plot(results, args.plot)
        say("", f"plot: {args.plot}")
    used = facts(start)
    write_json(args.json, report.as_json(lines, results) | used)
    return 0


def _grid(args: argparse.Namespace) -> "Grid":
    from fedge.bench.codecs import schemes, tasks  # noqa: PLC0415 - needs onnx
    from fedge.bench.codecs.grid import Grid  # noqa: PLC0415
    from fedge.config.aggregator import AggregatorConfig  # noqa: PLC0415 - loads NumPy

    own = tuple(map(str, args.data or ()))
    quick: bool = args.quick
    shared = Setting(
        task="",
        scheme="",
        n_devices=args.devices,
        rounds=args.rounds,
        local_steps=args.local_steps,
        lr=args.lr,
        target=args.target,
        strategy=args.strategy or default_of(AggregatorConfig, "strategy"),
    )
    return Grid(
        tasks=(*(args.tasks or (() if own else tasks.TASKS)), *own),
        schemes=tuple(args.specs or (schemes.QUICK if quick else schemes.DEFAULT)),
        iid=(False,) if quick else _SPLITS[args.split],
        participation=tuple(args.participation or ((1.0,) if quick else (1.0, 0.2))),
        n_seeds=1 if quick else args.seeds,
        shared=shared,
    )


_SPLITS = {"both": (True, False), "alike": (True,), "unlike": (False,)}


def _told(result: "Result") -> str:
    from fedge.bench.codecs.report import describe  # noqa: PLC0415 - needs onnx

    setting, reached = result.setting, result.reached
    end = f"round {reached.round}" if reached else result.failure or "not reached"
    return f"{describe(setting)}, {setting.scheme}, seed {setting.seed}: {end}"
