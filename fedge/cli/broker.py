"""`fedge broker`: run mosquitto or iotcore on loopback until told to stop."""

import argparse
import contextlib
import signal
import tempfile
from pathlib import Path
from threading import Event

from fedge.cli import logs
from fedge.cli.commands import write_json
from fedge.config.broker import BrokerConfig
from fedge.config.settings import add_flags, load_args
from fedge.errors import TransportError
from fedge.logs import logger
from fedge.transport.broker import RunningBroker, start_broker

log = logger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags for every setting of a broker."""
    add_flags(parser, BrokerConfig)


def run(args: argparse.Namespace) -> int:
    """Start it, say where it is, and wait for SIGINT or SIGTERM."""
    config = load_args(BrokerConfig, args)
    logs.set_up(config.log_level, "broker")
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with contextlib.ExitStack() as stack:
        folder = config.state_dir or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="fedge-broker-"))
        )
        broker = stack.enter_context(
            start_broker(
                config.host,
                config.port,
                config.kind,
                folder=folder,
                version=config.mqtt,
                is_persistent=config.state_dir is not None,
            )
        )
        log.info("%s %s at %s, log in %s", broker.kind, broker.version, broker.url, broker.log_file)
        write_json(args.json, {"kind": broker.kind, "version": broker.version, "url": broker.url})
        _wait(broker, stop)
    log.info("stopped")
    return 0


def _wait(broker: RunningBroker, stop: Event) -> None:
    while not stop.wait(0.2):
        if (code := broker.process.poll()) is not None:
            raise TransportError(f"{broker.kind} ended with code {code}: {broker.last_words()}")
