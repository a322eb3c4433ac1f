"""`fedge bench kernels`: time encoding, decoding and robust aggregation."""

import argparse
import time
from collections.abc import Sequence

from fedge.cli.bench.common import facts, tell
from fedge.cli.commands import write_json
from fedge.errors import ConfigError

HELP = "time encoding, decoding and robust aggregation on one thread"
DESCRIPTION = "CPU time on one thread, medians, beside memcpy and NumPy in the same run."


def configure(parser: argparse.ArgumentParser) -> None:
    """Which peers, which sizes, how long."""
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
    add(
        "--count",
        choices=["instructions"],
        help="in place of times, what the processor's own counter says, of kernels and plain twins",
    )
    add("--kernel", nargs="+", metavar="NAME", help="with --count: these only")
    add("--no-twins", action="store_true", help="with --count: our kernels only, which is quicker")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    if args.count:
        return _count(args)
    from fedge.bench.kernels.report import as_json, text  # noqa: PLC0415 - only what is asked for
    from fedge.bench.kernels.suite import SIZES, measure  # noqa: PLC0415

    start = time.perf_counter()
    result = measure(_sizes(args, SIZES), with_peers=args.peers, budget_s=args.budget, tell=tell)
    print(text(result, as_markdown=args.markdown))
    used = facts(start)
    write_json(args.json, as_json(result) | used)
    return 0


def _count(args: argparse.Namespace) -> int:
    from fedge.bench.kernels.calls import check_names  # noqa: PLC0415 - only what is asked for
    from fedge.bench.kernels.counting import as_json, count, text  # noqa: PLC0415

    start = time.perf_counter()
    check_names(args.kernel or ())
    lines = count(
        _sizes(args, (10_000,)), kernels=args.kernel, with_twins=not args.no_twins, tell=tell
    )
    print(text(lines, as_markdown=args.markdown))
    used = facts(start)
    write_json(args.json, as_json(lines) | used)
    return 0


def _sizes(args: argparse.Namespace, default: Sequence[int]) -> Sequence[int]:
    sizes: Sequence[int] = args.size or default
    if min(sizes) < 1000:
        raise ConfigError(f"--size must be at least 1000, not {min(sizes)}")
    return sizes
