"""`fedge bench kernels`: time encoding, decoding and robust aggregation."""

import argparse
import time

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


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from fedge.bench.kernels.report import as_json, text  # noqa: PLC0415 - only what is asked for
    from fedge.bench.kernels.suite import SIZES, measure  # noqa: PLC0415

    start = time.perf_counter()
    sizes = args.size or SIZES
    if min(sizes) < 1000:
        raise ConfigError(f"--size must be at least 1000, not {min(sizes)}")
    result = measure(sizes, with_peers=args.peers, budget_s=args.budget, tell=tell)
    print(text(result, as_markdown=args.markdown))
    used = facts(start)
    write_json(args.json, as_json(result) | used)
    return 0
