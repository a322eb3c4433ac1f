"""`fedge bench`: measure this machine, and what sending costs."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedge.bench.machine import describe, peak_rss_mb
from fedge.cli.commands import write_json
from fedge.errors import ConfigError

if TYPE_CHECKING:  # codecs needs onnx; a board that runs kernels need not have it
    from fedge.bench.codecs.grid import Grid
    from fedge.bench.codecs.run import Result

HELP = "measure kernels against their peers, codecs by bytes to an accuracy"


def configure(parser: argparse.ArgumentParser) -> None:
    """What can be measured."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="WHAT")
    kernels = kinds.add_parser(
        "kernels",
        help="time encoding, decoding and robust aggregation on one thread",
        description="CPU time on one thread, medians, beside memcpy and NumPy in the same run.",
    )
    _configure_kernels(kernels)
    codecs = kinds.add_parser(
        "codecs",
        help="train federations until they reach an accuracy, and count every byte",
        description="Real training and real payloads in one process; MQTT's own bytes are extra.",
    )
    _configure_codecs(codecs)
    for kind in (kernels, codecs):
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
    return _kernels(args) if args.kind == "kernels" else _codecs(args)


def _configure_kernels(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--peers",
        action="store_true",
        help="also time torch, bitsandbytes, pcodec and zstandard, where they are installed",
    )
    add(
        "--size",
        type=int,
        action="append",
        metavar="N",
        help="parameters of a model; may be given again (10000, 50000, 1000000)",
    )
    add(
        "--budget",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="for each group of figures; less means fewer repeats (%(default)s)",
    )


def _configure_codecs(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    parser.epilog = (
        "A scheme is UP or UP,DOWN: a codec's spec, stc-gzip or powersgd, for updates; and one for"
        " the differences between models, in place of whole float32 models."
    )
    add("--tasks", nargs="+", metavar="TASK", help="digits, waves, words (all)")
    add("--data", type=Path, action="append", metavar="FILE.npz", help="a task of your own data")
    add("--target", type=_share, metavar="A", help="accuracy to reach, 0 to 1 (the task's)")
    add("--specs", nargs="+", metavar="SCHEME", help="schemes beside float32 (a dozen)")
    add("--seeds", type=_positive, default=3, metavar="N", help="runs of each (%(default)s)")
    add("--devices", type=_positive, default=30, metavar="N", help="(%(default)s)")
    add("--rounds", type=_positive, default=200, metavar="N", help="at most (%(default)s)")
    add("--local-steps", type=_positive, default=5, metavar="N", help="in a round (%(default)s)")
    add("--lr", type=float, help="the devices' learning rate (the task's)")
    add("--strategy", default="fedavg", metavar="SPEC", help="(%(default)s)")
    add(
        "--split",
        choices=["both", "alike", "unlike"],
        default="both",
        help="how examples are dealt out: evenly, or by Dirichlet 0.3 or the file's clients",
    )
    add(
        "--participation",
        type=_share,
        nargs="+",
        metavar="SHARE",
        help="of devices in a round (1 and 0.2)",
    )
    add("--quick", action="store_true", help="one seed, few schemes, unlike, all devices")
    add("--jobs", type=_positive, default=1, metavar="N", help="processes at a time (%(default)s)")
    add("--plot", type=Path, metavar="FILE.png", help="accuracy against bytes")


def _kernels(args: argparse.Namespace) -> int:
    from fedge.bench.kernels.report import as_json, text  # noqa: PLC0415 - only what is asked for
    from fedge.bench.kernels.suite import SIZES, measure  # noqa: PLC0415

    start = time.perf_counter()
    sizes = args.size or SIZES
    if min(sizes) < 1000:
        raise ConfigError(f"--size must be at least 1000, not {min(sizes)}")
    result = measure(sizes, with_peers=args.peers, budget_s=args.budget, tell=_tell)
    print(text(result, as_markdown=args.markdown))
    facts = _facts(start)
    write_json(args.json, as_json(result) | facts)
    return 0


def _codecs(args: argparse.Namespace) -> int:
    from fedge.bench.codecs import plot, report  # noqa: PLC0415 - needs onnx
    from fedge.bench.codecs.grid import summarise  # noqa: PLC0415

    start = time.perf_counter()
    if args.plot:
        plot.check_matplotlib()
    grid = _grid(args)
    results = _play(grid, args.jobs)
    lines = summarise(results)
    print(report.tables(lines, as_markdown=args.markdown))
    if args.plot:
        plot.plot(results, args.plot)
        print(f"\nplot: {args.plot}")
    facts = _facts(start)
    write_json(args.json, report.as_json(lines, results) | facts)
    return 0


def _grid(args: argparse.Namespace) -> "Grid":
    from fedge.bench.codecs import schemes, tasks  # noqa: PLC0415 - needs onnx
    from fedge.bench.codecs.grid import Grid  # noqa: PLC0415
    from fedge.bench.codecs.run import Setting  # noqa: PLC0415

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
        strategy=args.strategy,
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


def _play(grid: "Grid", n_jobs: int) -> "list[Result]":
    """All runs, in the order of the grid."""
    from fedge.bench.codecs.grid import run_all  # noqa: PLC0415 - needs onnx
    from fedge.bench.codecs.report import describe as cell_name  # noqa: PLC0415

    settings = grid.settings()
    place = {setting: number for number, setting in enumerate(settings)}
    results = []
    for result in run_all(settings, n_jobs):
        results.append(result)
        setting, reached = result.setting, result.reached
        end = f"round {reached.round}" if reached else result.failure or "not reached"
        _tell(
            f"{len(results)}/{len(settings)} {cell_name(setting)}, {setting.scheme},"
            f" seed {setting.seed}: {end}"
        )
    _tell("")
    return sorted(results, key=lambda result: place[result.setting])


def _tell(what: str) -> None:
    """Progress on stderr: one line that changes on a terminal, plain lines elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what[:100]}", end="", file=sys.stderr, flush=True)
    elif what:
        print(what, file=sys.stderr, flush=True)


def _facts(start: float) -> dict[str, Any]:
    """Prints and gives what the figures were made on."""
    machine = describe()
    used = {"wall_s": round(time.perf_counter() - start, 1), "peak_rss_mb": round(peak_rss_mb())}
    words = [f"{name} {value}" for name, value in machine.items()]
    print(f"\n{', '.join(words)}\n{used['wall_s']} s, peak memory {used['peak_rss_mb']} MB")
    return {"machine": machine, **used}


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, found {number}")
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"expected above 0 and up to 1, found {number:g}")
    return number
