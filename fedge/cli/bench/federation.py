"""`fedge bench federation`: how accurate the methods are where devices have unlike data."""

import argparse
import time
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fedge.bench.federation.methods import BASELINES, METHODS
from fedge.bench.federation.setting import TASKS, WAYS, Setting
from fedge.cli.bench.common import facts, positive
from fedge.cli.bench.playing import play
from fedge.cli.commands import write_json
from fedge.cli.screen import say
from fedge.errors import MissingDependencyError

if TYPE_CHECKING:  # they need onnx; a board that runs kernels need not have it
    from fedge.bench.federation.grid import Grid
    from fedge.bench.federation.run import Result

HELP = "train federations of unlike devices by every method, and compare their accuracy"
DESCRIPTION = (
    "Real training, real payloads and the aggregator's own functions in one process. The digits "
    "come with scikit-learn; for the other tasks say where their data are."
)

_QUICK_ROUNDS = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Which tasks, methods and ways, and where the results go."""
    add = parser.add_argument
    ways = "; ".join(f"{name}: {about}" for name, about in WAYS.items())
    parser.epilog = (
        f"Methods: {', '.join((*METHODS, *BASELINES))}. Ways: {ways}. The first way is what the "
        "others are compared with."
    )
    add(
        "--tasks",
        nargs="+",
        metavar="TASK",
        help=f"{', '.join(TASKS)} (digits, and those whose data are given)",
    )
    add("--mnist", type=Path, metavar="FOLDER", help="the four idx .gz files of the MNIST database")
    add("--wisdm", type=Path, metavar="FILE.npz", help="x, y, client and is_test of WISDM")
    add("--methods", nargs="+", metavar="METHOD", help="(all)")
    add(
        "--splits",
        nargs="+",
        metavar="SPLIT",
        help="an alpha of a Dirichlet draw of each class, shards, or user (the task's)",
    )
    add("--ways", nargs="+", metavar="WAY", help="(float32 default)")
    add("--seeds", type=positive, default=5, metavar="N", help="runs of each (%(default)s)")
    add("--rounds", type=positive, metavar="N", help="(100)")
    add("--resume", type=Path, metavar="FILE", help="keep finished runs here, and skip them")
    add("--quick", action="store_true", help=f"one seed, {_QUICK_ROUNDS} rounds, first split only")
    add("--jobs", type=positive, default=1, metavar="N", help="processes at a time (%(default)s)")
    add("--plot", type=Path, metavar="FILE.png", help="accuracy against rounds")


def run(args: argparse.Namespace) -> int:
    """Play all runs that are not there yet, and print."""
    if find_spec("onnx") is None:
        raise MissingDependencyError(
            "fedge bench federation needs onnx: pip install 'fedge[bench]'"
        )
    from fedge.bench.codecs.plot import check_matplotlib  # noqa: PLC0415 - needs onnx
    from fedge.bench.federation import report  # noqa: PLC0415
    from fedge.bench.federation.grid import summarise  # noqa: PLC0415
    from fedge.bench.federation.run import Result  # noqa: PLC0415
    from fedge.bench.federation.run import run as run_one  # noqa: PLC0415

    start = time.perf_counter()
    if args.plot:
        check_matplotlib()
    grid = _grid(args)
    results = play(
        grid.settings(),
        partial(run_one, paths=grid.paths),
        kind=Result,
        file=args.resume,
        n_jobs=args.jobs,
        describe=_words,
    )
    lines = summarise(results)
    print(report.tables(lines, as_markdown=args.markdown))
    if args.plot:
        from fedge.bench.federation.plot import plot  # noqa: PLC0415

        plot(results, args.plot)
        say("", f"plot: {args.plot}")
    used = facts(start)
    write_json(args.json, report.as_json(lines, results) | used)
    return 0


def _grid(args: argparse.Namespace) -> "Grid":
    from fedge.bench.federation.grid import Grid  # noqa: PLC0415 - needs onnx
    from fedge.bench.federation.tasks import TASKS as DESCRIBED  # noqa: PLC0415

    paths: Mapping[str, Path] = {
        name: path for name in TASKS if (path := getattr(args, name, None)) is not None
    }
    tasks = tuple(args.tasks or ("digits", *paths))
    splits = tuple(args.splits or ())
    if args.quick and not splits and len(tasks) == 1 and tasks[0] in DESCRIBED:
        splits = DESCRIBED[tasks[0]].splits[:1]
    return Grid(
        tasks=tasks,
        splits=splits,
        methods=tuple(args.methods or ()),
        ways=tuple(args.ways or ("float32", "default")),
        n_seeds=1 if args.quick else args.seeds,
        rounds=args.rounds or (_QUICK_ROUNDS if args.quick else None),
        paths=paths,
    )


def _words(result: "Result") -> str:
    one: Setting = result.setting
    last = result.accuracies[-10:]
    return (
        f"{one.task} {one.split}, {one.method}, {one.way}, seed {one.seed}:"
        f" {sum(last) / len(last):.3f} in {result.cpu_s:.0f} s of CPU time"
    )
