"""Logging of the commands: plain lines on stderr."""

import logging
import sys


def set_up(level: str, who: str) -> None:
    """Log lines like `2026-01-31 12:00:00 INFO device pi-3: round 4 is open`.

    Args:
        level: debug, info, warning or error.
        who: the kind of process and its name.
    """
    logging.basicConfig(
        level=level.upper(),
        stream=sys.stderr,
        format=f"%(asctime)s %(levelname)s {who.replace('%', '%%')}: %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
        force=True,
    )
