"""Logging of the commands: plain lines on stderr."""

import logging
import sys

from fedge.logs import make_fit
from fedge.text import line


class _Lines(logging.Formatter):
    """One line for each record, then its traceback, indented; for other packages' records too."""

    def format(self, record: logging.LogRecord) -> str:
        make_fit(record)
        told = f"\n{record.exc_text}" if record.exc_text else ""
        return line(super().format(record).removesuffix(told)) + told


def set_up(level: str, who: str) -> None:
    """Log lines like `2026-01-31 12:00:00 INFO device pi-3: round 4 is open`.

    Args:
        level: debug, info, warning or error.
        who: the kind of process and its name.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Lines(
            f"%(asctime)s %(levelname)s {who.replace('%', '%%')}: %(message)s",
            datefmt="%Y-%m-%d %H:%M:%S",
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
