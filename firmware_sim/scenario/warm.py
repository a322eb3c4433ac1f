"""A program that has loaded everything it needs and waits; for snapshots.

It is copied to the board. When a file `go` with the arguments of a `fedge` command appears, it
prints random numbers and turns into that command.
"""

import os
import shlex
import sys
import time
from pathlib import Path

from fedge.cli.main import main
from fedge.device import Device
from fedge.training.engines import choose

WARM, NUMBERS = "warm:", "random:"  # the first words of its two lines
GO = Path("go")
_POLL_S = 0.02


def wait() -> str:
    """The content of the file, once it is there."""
    while not GO.exists():
        time.sleep(_POLL_S)
    return GO.read_text()


def say(line: str) -> None:
    """Print a line on the console immediately."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    say(f"{WARM} {Device.__name__} with {choose('auto').name}")
    words = wait()
    say(f"{NUMBERS} {os.urandom(16).hex()} at {time.time():.0f}")  # noqa: TID251 - the guest's clock
    sys.exit(main(shlex.split(words)))
