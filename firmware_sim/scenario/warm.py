"""A program that has loaded all it needs and waits: for snapshots.

It is copied to the board. When the file `go` is there, with the words of a `fedge` command in it,
it says what its dice show and becomes that command.
"""

import os
import shlex
import sys
import time
from pathlib import Path

from fedge.cli.main import main
from fedge.device import Device
from fedge.training.engines import choose

WARM, DICE = "warm:", "dice:"  # the first words of its two lines
GO = Path("go")
_POLL_S = 0.02


def wait() -> str:
    """What is in the file, once it is there."""
    while not GO.exists():
        time.sleep(_POLL_S)
    return GO.read_text()


def say(line: str) -> None:
    """On the console, at once."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    say(f"{WARM} {Device.__name__} with {choose('auto').name}")
    words = wait()
    say(f"{DICE} {os.urandom(16).hex()} at {time.time():.0f}")  # noqa: TID251 - what the clock shows
    sys.exit(main(shlex.split(words)))
