"""`fedge aggregate`: runs a job's rounds until they are done or a signal says stop."""

import argparse
import logging
import signal

from fedge.aggregator import Aggregator
from fedge.cli.main import write_json
from fedge.config.aggregator import AggregatorConfig
from fedge.config.settings import add_flags, load_args

HELP = "run the aggregator: rounds, models, what the devices need"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    add_flags(parser, AggregatorConfig)


def run(args: argparse.Namespace) -> int:
    """Until the job is done, or SIGTERM or SIGINT: then the state is kept for the next start."""
    config = load_args(AggregatorConfig, args)
    logging.basicConfig(
        level=config.log_level.upper(),
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
    )
    aggregator = Aggregator(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: aggregator.stop())
    write_json(args.json, aggregator.run())
    return 0
