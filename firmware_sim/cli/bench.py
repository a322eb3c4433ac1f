"""`python -m firmware_sim bench`: instructions of the kernels, board by board."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fedge.cli.commands import write_json
from fedge.errors import ConfigError
from firmware_sim.bench import stored
from firmware_sim.bench.counts import Count
from firmware_sim.bench.plot import check_matplotlib, plot
from firmware_sim.bench.report import as_json, text
from firmware_sim.boards import BOARDS, board
from firmware_sim.build.processors import PROCESSORS, processor
from firmware_sim.tiers.count import check_packages

_TIERS = ("count", "system")


def configure(parser: argparse.ArgumentParser) -> None:
    """What to count where, and what to do with the counts."""
    parser.description = (
        "Instructions of the kernels in the work of `fedge bench kernels`. On tier count they run"
        " alone, and all their output is compared with this machine's, bit for bit; on tier system"
        " they run inside a whole emulated board, together with their plain twins. docs/arm.md"
        " says how to read the counts."
    )
    add = parser.add_argument
    add("--tier", choices=_TIERS, default="count", help="(%(default)s)")
    add(
        "--board",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="boards, and on tier count also processors: "
        + ", ".join(each.name for each in PROCESSORS)
        + " (all)",
    )
    add("--kernel", nargs="+", action="extend", metavar="NAME", help="these kernels only")
    add(
        "--size",
        type=_size,
        nargs="+",
        action="extend",
        metavar="N",
        help="parameters (50000; 10000 on tier system)",
    )
    add("--plot", type=Path, metavar="FILE.png", help="save a plot")
    add("--markdown", action="store_true", help="print the table in Markdown")
    add("--check", action="store_true", help="fail if a count has grown by more than 2 %%")
    add("--store", action="store_true", help="write the counts that --check compares with")
    add("--stored", type=Path, default=stored.STORED, metavar="FILE", help="where those counts are")
    add("--allow", type=float, metavar="PERCENT", help="with --check: this much, and any compiler")


def run(args: argparse.Namespace) -> int:
    """Count, show, and check or store."""
    _refuse(args)
    counts = _inside(args) if args.tier == "system" else _alone(args)
    print(text(counts, as_markdown=args.markdown))
    write_json(args.json, {"tier": args.tier, **as_json(counts)})
    if args.plot:
        plot(counts, args.plot)
        print(f"\nplot: {args.plot}")
    if args.store:
        stored.write(stored.made_here(counts), args.stored)
        print(f"\nstored in {args.stored}")
    return _check(counts, args) if args.check else 0


def _refuse(args: argparse.Namespace) -> None:
    if args.tier == "system" and (args.check or args.store):
        raise ConfigError(
            "--check and --store are for tier count: its counts are the same everywhere"
        )
    if args.store and (args.board or args.kernel or args.size):
        raise ConfigError("--store stores all counts: leave out --board, --kernel and --size")
    if args.plot:
        check_matplotlib()


def _alone(args: argparse.Namespace) -> list[Count]:
    check_packages()
    from firmware_sim.bench import alone  # noqa: PLC0415 - needs unicorn

    chosen = [processor(name) for name in args.board] if args.board else PROCESSORS
    once = list(dict.fromkeys(chosen))
    return alone.count(once, args.size or alone.SIZES, kernels=args.kernel, tell=_tell)


def _inside(args: argparse.Namespace) -> list[Count]:
    from firmware_sim.bench import inside  # noqa: PLC0415 - only what is asked for

    able = [each for each in BOARDS if inside.refusal(each) is None]
    chosen = [board(name) for name in args.board] if args.board else able
    return inside.count(chosen, args.size or inside.SIZES, kernels=args.kernel, tell=_tell)


def _check(counts: Sequence[Count], args: argparse.Namespace) -> int:
    allowance = None if args.allow is None else args.allow / 100
    found = stored.complaints(
        stored.read(args.stored), stored.made_here(counts), allowance=allowance
    )
    for complaint in found:
        print(complaint, file=sys.stderr)
    if not found:
        share = 100 * (stored.ALLOWANCE if allowance is None else allowance)
        print(f"\nchecked: no count of {len(counts)} has grown by more than {share:g} %")
    return 1 if found else 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _size(text: str) -> int:
    number = int(text)
    if number < 1000:
        raise argparse.ArgumentTypeError(f"expected 1000 or more, found {number}")
    return number
