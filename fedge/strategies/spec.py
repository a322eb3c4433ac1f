"""The grammar of a strategy's spec.

    spec  = rule | optimizer | rule "/" optimizer
    rule  = { part "+" } part           pre-aggregators, then the rule itself
    part  = name [ ":" value { "," value } ]
    value = [ parameter "=" ] number    only the first may go without its parameter's name

A "+" before a digit is part of a number: `fedadam:lr=1e+2`.
"""

import re
from dataclasses import dataclass

from fedge.errors import ConfigError

_JOINT = re.compile(r"\+(?![0-9])")


@dataclass(frozen=True, slots=True)
class Part:
    """A name with its values: (parameter, text), the parameter None where only text is given."""

    name: str
    values: tuple[tuple[str | None, str], ...]


def split(spec: str) -> tuple[str, str | None]:
    """What is before the slash and what is after it; all and None if there is no slash.

    Raises:
        ConfigError: for more than one slash.
    """
    before, *after = spec.split("/")
    if len(after) > 1:
        raise ConfigError(
            f"strategy {spec!r}: expected rule/optimizer with one slash, found {len(after)}"
        )
    return before, after[0] if after else None


def read_chain(text: str) -> tuple[Part, ...]:
    """The parts of a rule; the last one is the rule itself."""
    return tuple(map(read_part, _JOINT.split(text)))


def read_part(text: str) -> Part:
    """A name and its values, not yet checked."""
    name, colon, rest = text.partition(":")
    return Part(name, tuple(map(_value, rest.split(","))) if colon else ())


def _value(text: str) -> tuple[str | None, str]:
    name, is_named, value = text.partition("=")
    return (name, value) if is_named else (None, text)
