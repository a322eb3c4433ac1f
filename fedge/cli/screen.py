"""What the commands print: one line at a time, none of which text from outside can forge."""

import sys
from typing import TextIO

from fedge.text import line


def say(*lines: str, to: TextIO | None = None) -> None:
    """Print each on a line of its own, whatever it contains; to stdout unless told otherwise."""
    for one in lines:
        print(line(one), file=to or sys.stdout, flush=True)
