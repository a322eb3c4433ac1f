"""`fedge bench aggregation`: what an update costs an aggregator."""

import argparse
import time

from fedge.bench.aggregation.options import Options
from fedge.cli.bench.common import facts, positive, tell
from fedge.cli.commands import write_json
from fedge.cli.passwords import warn_of_password
from fedge.errors import ConfigError
from fedge.setting import default_of

HELP = "what an update costs an aggregator in CPU time, memory and disk, for fleets of growing size"
DESCRIPTION = (
    "A real aggregator, durable, takes the updates of scripted devices through a real broker. The"
    " devices are identities that share a few connections of this process; each sends an update of"
    " the real codec for a model of 51 466 parameters and waits for the answer. The bench checks"
    " that every device gets one, that the round closes, and that the model is the mean of the"
    " updates."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """How many devices, how much of it, over which broker."""
    add = parser.add_argument
    parser.epilog = (
        "CPU time is the aggregator's own, so a slow broker does not count; busy neighbours make"
        " it longer all the same, so compare runs taken in turns. The main thread's time is broken"
        " down by package, with a sampling timer on that thread's CPU time: see docs/benchmarks.md."
    )
    add(
        "--devices",
        type=positive,
        nargs="+",
        default=list(default_of(Options, "sizes")),
        metavar="N",
        help="fleet sizes, one after the other (1000 10000 60000)",
    )
    add(
        "--updates",
        type=positive,
        default=default_of(Options, "n_updates"),
        metavar="N",
        help="repeat rounds until there are this many updates (%(default)s)",
    )
    add(
        "--codec",
        default=default_of(Options, "codec"),
        metavar="SPEC",
        help="of updates (%(default)s)",
    )
    add(
        "--broker",
        default=default_of(Options, "broker"),
        metavar="WHICH",
        help="mosquitto, iotcore, or the mqtt:// URL of a running broker (mosquitto if installed)",
    )


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from fedge.bench.aggregation.report import as_json, text  # noqa: PLC0415 - only what is asked for
    from fedge.bench.aggregation.run import MOST_DEVICES, measure  # noqa: PLC0415 - needs onnx

    most = max(args.devices)
    if most > MOST_DEVICES:
        raise ConfigError(f"--devices: expected at most {MOST_DEVICES}, found {most}")
    warn_of_password(args.broker, "a broker without one")
    start = time.perf_counter()
    options = Options(
        sizes=tuple(args.devices), n_updates=args.updates, codec=args.codec, broker=args.broker
    )
    found = measure(options, tell)
    tell("")
    print(text(found, as_markdown=args.markdown))
    used = facts(start)
    write_json(args.json, as_json(found) | used)
    return 0
