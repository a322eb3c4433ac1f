"""`fedge demo`: the main job on one machine, told round by round."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from fedge.cli.commands import write_json
from fedge.cli.passwords import warn_of_password
from fedge.cli.screen import say
from fedge.config.settings import add_flags, load_args
from fedge.errors import FedgeError
from fedge.simulation.demo import Prepared, export, play, prepare, reports
from fedge.simulation.options import DemoOptions
from fedge.simulation.plot import plot
from fedge.simulation.report import Measured, as_json, human, reach
from fedge.text import line

_TARGET = 0.95
_INTERRUPTED = 130  # what a shell reports after Ctrl-C

_COLUMNS = "{:>5}  {:>8}  {:>9}  {:>11}  {:>9}  {:>9}  {:>8}  {:>7}"
_HEAD = ("round", "accuracy", "loss", "in/late/lost", "up", "published", "float32÷", "seconds")


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags: every field of DemoOptions."""
    add_flags(parser, DemoOptions)
    parser.epilog = (
        "Without --data the fleet learns the 1 797 handwritten digits that come with scikit-learn. "
        "A data file is an .npz with x (or one array for each input of the model), y, and perhaps "
        "client (the natural split: one device for each client) and is_test. Everything of a run "
        "is in the folder --out."
    )


def run(args: argparse.Namespace) -> int:
    """Prepare, run, report."""
    options = _options(args)
    warn_of_password(args.broker, "--password-file")
    out = sys.stdout
    say(f"fedge demo: writing everything to {options.out}", to=out)
    ready = prepare(options)
    say(
        f"{len(ready.devices)} devices, {ready.n_trainable} trained parameters,"
        f" codec {options.codec} up, {options.downlink_codec} down, strategy {options.strategy}",
        to=out,
    )
    print(f"artifact: {human(ready.artifact_bytes)}, which each device downloads once", file=out)
    measured = _watch(options, ready, out)
    result = as_json(options, ready, measured)
    picture = options.out / "accuracy.png"
    plot(result, _TARGET, picture)
    write_json(options.out / "result.json", result)
    write_json(args.json, result)
    _summary(options, result, picture, out)
    return 0 if measured.is_whole else _INTERRUPTED


def _options(args: argparse.Namespace) -> DemoOptions:
    options = load_args(DemoOptions, args)
    if options.out.exists() and any(options.out.iterdir()):
        raise FedgeError(f"--out {options.out} is not empty: name a new folder")
    return options


def _watch(options: DemoOptions, ready: Prepared, out: TextIO) -> Measured:
    """Play the run and print a line a round; Ctrl-C and SIGTERM stop every process.

    If a round has ended by then, what there is gets measured like a whole run.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    told = _Told(options, _Screen(out))
    is_whole = True
    try:
        with closing(play(options, ready)) as events:
            for event in events:
                told.take(event)
    except KeyboardInterrupt:
        if not told.rounds:
            raise
        is_whole = False
        told.screen.line("stopped: here is what there is so far")
    told.screen.status("")
    return Measured(
        rounds=told.rounds,
        setup=told.setup,
        devices=reports(ready),
        model=export(ready),
        wall_s=time.monotonic() - began,
        broker=told.broker,
        is_whole=is_whole,
    )


@dataclass(slots=True)
class _Told:
    """The events so far, each shown when it comes."""

    options: DemoOptions
    screen: "_Screen"
    broker: str = ""
    rounds: list[dict[str, Any]] = field(default_factory=list)
    setup: list[dict[str, Any]] = field(default_factory=list)

    def take(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "broker":
                self.broker = event["broker"]
                self.screen.line(f"broker: {self.broker} at {event['url']}")
            case "waiting":
                online, wanted = event["online"], event["wait_for"]
                self.screen.status(f"waiting for devices: {online} of {wanted}")
            case "round" if event["kind"] == "training":
                if not self.rounds:
                    self.screen.line(_COLUMNS.format(*_HEAD))
                self.rounds.append(event)
                self.screen.line(_row(event, self.rounds))
                self.screen.status(
                    f"round {event['round'] + 1} of {self.options.rounds} is running"
                )
            case "round":
                self.setup.append(event)
                self.screen.line("statistics: the model now has the fleet's means and spreads")
            case _:
                pass


class _Screen:
    """Lines that stay, and on a terminal one status line below them that does not."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._is_terminal = out.isatty()

    def line(self, text: str) -> None:
        self._clear()
        say(text, to=self._out)

    def status(self, text: str) -> None:
        self._clear()
        if self._is_terminal and text:
            print(f"… {line(text)}", end="", file=self._out, flush=True)

    def _clear(self) -> None:
        if self._is_terminal:
            print("\r\x1b[K", end="", file=self._out)


def _row(event: dict[str, Any], rounds: list[dict[str, Any]]) -> str:
    sent = sum(row["uplink_bytes"] for row in rounds)
    plain = sum(row["float32_uplink_bytes"] for row in rounds)
    accuracy, loss = event["accuracy"], event["loss"]
    return _COLUMNS.format(
        event["round"],
        "-" if accuracy is None else f"{accuracy:.2%}",
        "-" if loss is None else f"{loss:#.4g}",
        f"{event['devices_accepted']}/{event['devices_late']}/{event['devices_lost']}",
        human(event["uplink_bytes"]),
        human(event["downlink_bytes"]),
        f"{plain / max(sent, 1):.0f}x",
        f"{event['wall_s']:.2f}",
    )


def _summary(options: DemoOptions, result: dict[str, Any], picture: Path, out: TextIO) -> None:
    """The table at the end, and where everything is."""
    totals = result["totals"]
    up, down, artifact = (totals[f"{way}_bytes"] for way in ("uplink", "downlink", "artifact"))
    plain_up, plain_down = totals["float32_uplink_bytes"], totals["float32_downlink_bytes"]
    known = [report for report in result["devices"].values() if "lost" not in report]
    rows = [
        ("rounds", f"{len(result['rounds'])} in {totals['wall_s']:.1f} s, start to end"),
        *_quality(result["rounds"]),
        ("up, sent by all devices", human(up)),
        ("as plain float32", f"{human(plain_up)} ({plain_up / max(1, up):.0f}x)"),
        ("down, to all devices", human(down)),
        ("as plain float32", f"{human(plain_down)} ({plain_down / max(1, down):.0f}x)"),
        ("artifact, once a device", f"{human(artifact)} to all devices, in no other sum"),
        (
            "updates in/late/lost",
            f"{totals['devices_accepted']}/{totals['devices_late']}/{totals['devices_lost']}",
        ),
        ("device peak memory", human(max((r["peak_rss_bytes"] for r in known), default=0))),
        ("device CPU time", f"{max((r['cpu_s'] for r in known), default=0.0):.2f} s at most"),
        ("plot", str(picture)),
        ("trained model", result["model"]["path"]),
        ("all figures", str(options.out / "result.json")),
        ("logs and state", f"{options.out}/logs, {options.out}/aggregator"),
    ]
    say("", to=out)
    for name, value in rows:
        say(f"{name:>24}  {value}", to=out)


def _quality(rounds: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """How good the model is; without accuracy where numbers are predicted."""
    last, reached = rounds[-1], reach(_TARGET, rounds)
    if last["accuracy"] is not None:
        yield "final test accuracy", f"{last['accuracy']:.2%}"
    yield "final test loss", "-" if last["loss"] is None else f"{last['loss']:.4g}"
    if reached:
        up, down = human(reached.uplink_bytes), human(reached.downlink_bytes)
        yield f"{_TARGET:.0%} accuracy", f"round {reached.round}, {up} up, {down} down"
    elif last["accuracy"] is not None:
        yield f"{_TARGET:.0%} accuracy", "not reached"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
