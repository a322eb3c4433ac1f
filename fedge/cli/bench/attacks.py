"""`fedge bench attacks`: what hostile devices do to a model, rule by rule."""

import argparse
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fedge.bench.attacks.setting import CODECS, UNBOUNDED, Setting
from fedge.cli.bench.common import facts, positive
from fedge.cli.bench.playing import play
from fedge.cli.commands import write_json
from fedge.cli.screen import say
from fedge.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:  # they need onnx; a board that runs kernels need not have it
    from fedge.bench.attacks.grid import Grid
    from fedge.bench.attacks.run import Result

HELP = "train federations with hostile devices in them, rule by rule and attack by attack"
DESCRIPTION = (
    "Real training, real payloads both ways, and an aggregator's own checks and bounds, in one"
    " process. The attackers know every honest update before they choose theirs."
)

_START = Setting(task="", codec="", rule="", attack="")
_TASKS = ("digits", "words")
_RULES = (UNBOUNDED, "mean")
_QUICK_ATTACKS = ("x10", "nan", "heavy")
_QUICK_ROUNDS = 30


def configure(parser: argparse.ArgumentParser) -> None:
    """Which tasks, rules and attacks."""
    add = parser.add_argument
    parser.epilog = (
        "A rule is a spec as in `fedge aggregate --strategy`, with the default bounds on norms and"
        f" examples; {UNBOUNDED} is the mean without them. A run is the same on every call, so"
        " --resume FILE continues where an earlier call with the same options was stopped."
    )
    add("--tasks", nargs="+", metavar="TASK", help=f"digits, waves, words ({' '.join(_TASKS)})")
    add("--data", type=Path, action="append", metavar="FILE.npz", help="a task of your own data")
    add("--rules", nargs="+", metavar="SPEC", help=f"({' '.join(_RULES)})")
    add("--attacks", nargs="+", metavar="NAME", help="beside runs without one; --list names them")
    add("--list", action="store_true", help="say what each attack does, and stop")
    add("--codecs", nargs="+", choices=list(CODECS), default=list(CODECS), help="(both)")
    add("--seeds", type=positive, default=1, metavar="N", help="runs of each (%(default)s)")
    add("--devices", type=positive, default=_START.n_devices, metavar="N", help="(%(default)s)")
    add(
        "--hostile",
        type=positive,
        default=_START.n_hostile,
        metavar="N",
        help="how many of them (%(default)s)",
    )
    add(
        "--alpha",
        type=float,
        default=_START.alpha,
        help="how alike devices are, where the data have no clients: the concentration of a"
        " Dirichlet draw of each class (%(default)s)",
    )
    add("--rounds", type=positive, metavar="N", help=f"of each run ({_START.rounds})")
    add(
        "--local-steps",
        type=positive,
        default=_START.local_steps,
        metavar="N",
        help="in a round (%(default)s)",
    )
    add("--lr", type=float, help="the devices' learning rate (the task's)")
    add("--norm-bound", type=float, metavar="N", help="(as in fedge aggregate)")
    add("--weight-bound", type=float, metavar="N", help="(as in fedge aggregate)")
    add(
        "--quick",
        action="store_true",
        help=f"words, default codec, {' '.join(_QUICK_ATTACKS)}, {_QUICK_ROUNDS} rounds",
    )
    add("--jobs", type=positive, default=1, metavar="N", help="processes at a time (%(default)s)")
    add("--resume", type=Path, metavar="FILE", help="keep finished runs here, and skip them")
    add(
        "--finished",
        action="store_true",
        help="play nothing: print what --resume has of these runs",
    )
    add("--plot", type=Path, metavar="FILE.png", help="what each attack costs, as colours")


def run(args: argparse.Namespace) -> int:
    """Play all runs and print."""
    if find_spec("onnx") is None:
        raise MissingDependencyError("fedge bench attacks needs onnx: pip install 'fedge[bench]'")
    from fedge.bench.attacks import plot, report  # noqa: PLC0415 - needs onnx
    from fedge.bench.attacks.run import Result  # noqa: PLC0415
    from fedge.bench.attacks.run import run as attacked  # noqa: PLC0415
    from fedge.bench.attacks.summary import summarise  # noqa: PLC0415
    from fedge.bench.codecs.plot import check_matplotlib  # noqa: PLC0415

    if args.list:
        _list()
        return 0
    if args.finished and not (args.resume and args.resume.exists()):
        raise ConfigError("--finished needs --resume FILE, with the runs that are finished")
    start = time.perf_counter()
    if args.plot:
        check_matplotlib()
    results = play(
        _grid(args).settings(),
        attacked,
        kind=Result,
        file=args.resume,
        n_jobs=0 if args.finished else args.jobs,
        describe=_told,
    )
    cells = summarise(results)
    print(report.tables(cells, as_markdown=args.markdown))
    say("", report.LEGEND)
    if args.plot:
        plot.plot(cells, args.plot)
        say("", f"plot: {args.plot}")
    used = facts(start)
    write_json(args.json, report.as_json(cells, results) | used)
    return 0


def _list() -> None:
    from fedge.bench.attacks.catalogue import ATTACKS  # noqa: PLC0415 - needs onnx

    for name, attack in ATTACKS.items():
        say(f"{name:12} {attack.about}")


def _grid(args: argparse.Namespace) -> "Grid":
    from fedge.bench.attacks.catalogue import ATTACKS  # noqa: PLC0415 - needs onnx
    from fedge.bench.attacks.grid import Grid  # noqa: PLC0415

    own = tuple(map(str, args.data or ()))
    quick: bool = args.quick
    shared = Setting(
        task="",
        codec="",
        rule="",
        attack="",
        n_devices=args.devices,
        n_hostile=args.hostile,
        alpha=args.alpha,
        rounds=args.rounds or (_QUICK_ROUNDS if quick else _START.rounds),
        local_steps=args.local_steps,
        lr=args.lr,
        norm_bound=args.norm_bound,
        weight_bound=args.weight_bound,
    )
    tasks = args.tasks or (() if own else ("words",) if quick else _TASKS)
    return Grid(
        tasks=(*tasks, *own),
        codecs=("default",) if quick else tuple(args.codecs),
        rules=tuple(args.rules or _RULES),
        attacks=tuple(args.attacks or (_QUICK_ATTACKS if quick else ATTACKS)),
        n_seeds=args.seeds,
        shared=shared,
    )


def _told(result: "Result") -> str:
    one = result.setting
    return (
        f"{Path(one.task).stem}, {one.codec} codec, {one.rule}, {one.attack}, seed {one.seed}:"
        f" {result.accuracy:.1%}"
    )
