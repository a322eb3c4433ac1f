"""What the kinds of `fedge bench` share."""

import argparse
import sys
import time
from typing import Any

from fedge.bench.machine import describe, peak_rss_mb
from fedge.cli.screen import say
from fedge.text import line


def tell(what: str) -> None:
    """Progress on stderr: one line that changes on a terminal, plain lines elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line(what[:100])}", end="", file=sys.stderr, flush=True)
    elif what:
        say(what, to=sys.stderr)


def facts(start: float) -> dict[str, Any]:
    """Prints and gives what the figures were made on."""
    machine = describe()
    used = {"wall_s": round(time.perf_counter() - start, 1), "peak_rss_mb": round(peak_rss_mb())}
    words = [f"{name} {value}" for name, value in machine.items()]
    say("", ", ".join(words), f"{used['wall_s']} s, peak memory {used['peak_rss_mb']} MB")
    return {"machine": machine, **used}


def positive(text: str) -> int:
    """A count, from the command line."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, found {number}")
    return number


def share(text: str) -> float:
    """A part of all, from the command line."""
    number = float(text)
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"expected above 0 and up to 1, found {number:g}")
    return number
