"""The loggers of fedge: every record fits on one safe line, whoever's handlers write it.

When fedge is used as a library, the host's handlers and formatters write its lines. So text from
outside (names, reasons, file names) is escaped where it is logged, not where it is written. A
logger's filter sees only what was logged on that logger, so every logger gets the filter.
"""

import logging
import traceback
from collections.abc import Mapping
from numbers import Number

from fedge.text import line


def logger(name: str) -> logging.Logger:
    """A module's logger, with arguments and tracebacks escaped."""
    found = logging.getLogger(name)  # noqa: TID251 - the one place for it
    found.addFilter(make_fit)  # adding the same function again has no effect
    return found


def make_fit(record: logging.LogRecord) -> bool:
    """Escape text from outside, which is in the arguments; numbers stay numbers.

    The lines of a traceback are indented, so that none of them can pass for a log line.
    """
    if isinstance(record.args, tuple):
        record.args = tuple(map(_fit, record.args))
    elif isinstance(record.args, Mapping):
        record.args = {name: _fit(value) for name, value in record.args.items()}
    if isinstance(record.exc_info, tuple) and not record.exc_text:
        text = "".join(traceback.format_exception(*record.exc_info))
        record.exc_text = "\n".join(f"    {line(part)}" for part in text.splitlines())
    return True


def _fit(value: object) -> object:
    return value if isinstance(value, Number) or value is None else line(str(value))
