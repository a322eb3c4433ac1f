"""The loggers of fedge: what they say is fit for a line, whoever's handlers write it.

Where fedge is a library the host's handlers and formatters write its lines, so what came from
outside (names, reasons, file names) is escaped where it is logged and not where it is written.
A filter of a logger sees only what was logged on that logger, so each has it.
"""

import logging
import traceback
from collections.abc import Mapping
from numbers import Number

from fedge.text import line


def logger(name: str) -> logging.Logger:
    """The logger of a module, with arguments and tracebacks made fit."""
    found = logging.getLogger(name)  # noqa: TID251 - the one place
    found.addFilter(make_fit)  # the same function again adds nothing
    return found


def make_fit(record: logging.LogRecord) -> bool:
    """Escape what came from outside, which is in the arguments; numbers stay numbers.

    Lines of a traceback are indented, so that none of them can pass for a line of the log.
    """
    if isinstance(record.args, tuple):
        record.args = tuple(map(_fit, record.args))
    elif isinstance(record.args, Mapping):
        record.args = {name: _fit(value) for name, value in record.args.items()}
    if isinstance(record.exc_info, tuple) and not record.exc_text:
        text = "".join(traceback.format_exception(*record.exc_info))
        record.exc_text = "\n".join(f"    {line(one)}" for one in text.splitlines())
    return True


def _fit(value: object) -> object:
    return value if isinstance(value, Number) or value is None else line(str(value))
