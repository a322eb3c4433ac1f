"""`fedge aggregate`: run a job's rounds until they are done or a signal stops it."""

import argparse
import signal
from types import FrameType

from fedge.aggregator import Aggregator
from fedge.cli import logs
from fedge.cli.commands import write_json
from fedge.cli.passwords import warn_of_password
from fedge.config.aggregator import AggregatorConfig
from fedge.config.settings import add_flags, load_args


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags: every setting of `AggregatorConfig`."""
    add_flags(parser, AggregatorConfig)
    parser.epilog = (
        "Everything it keeps is in --state-dir; started there again, it carries on with the same "
        "round. SIGTERM and Ctrl-C stop it cleanly. `fedge export` writes the trained model."
    )


def run(args: argparse.Namespace) -> int:
    """Run until the job is done, or until a signal: then the state is kept for the next start."""
    config = load_args(AggregatorConfig, args)
    logs.set_up(config.log_level, f"aggregator {config.name}")
    warn_of_password(args.broker, "FEDGE_AGGREGATOR_BROKER or --password-file")
    aggregator = Aggregator(config)
    _stop_on_signals(aggregator)
    write_json(args.json, aggregator.run())
    return 0


def _stop_on_signals(aggregator: Aggregator) -> None:
    """The first signal asks it to stop; a second ends the process at once, and loses nothing."""

    def stop(number: int, _frame: FrameType | None) -> None:
        aggregator.stop()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
