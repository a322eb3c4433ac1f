"""What a field says of itself, for files, flags and the environment: its help and its range.

`fedge.config` reads it; a core value such as a training plan may say it too.
"""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must satisfy beyond its type, with the words that say so."""

    expected: str
    holds: Callable[[Any], bool]


def at_least(low: float, *, below: float | None = None) -> Rule:
    """low <= value, and value < below if that is given."""
    if below is None:
        return Rule(f"at least {low}", lambda value: bool(value >= low))
    return Rule(f"at least {low} and below {below}", lambda value: bool(low <= value < below))


def above(low: float, *, up_to: float | None = None) -> Rule:
    """low < value, and value <= up_to if that is given."""
    if up_to is None:
        return Rule(f"more than {low}", lambda value: bool(value > low))
    return Rule(f"more than {low}, up to {up_to}", lambda value: bool(low < value <= up_to))


def within(low: float, high: float) -> Rule:
    """low <= value <= high."""
    return Rule(f"{low} to {high}", lambda value: bool(low <= value <= high))


def setting(
    default: Any = MISSING,
    *,
    about: str,
    rule: Rule | None = None,
    factory: Callable[[], Any] | None = None,
    off: str | None = None,
    is_secret: bool = False,
) -> Any:
    """A field of a dataclass; without default and factory it must be given.

    Of an optional one, `off` is the word that stands for None where a value can be given. A secret
    one is not in the dataclass's `repr`.
    """
    metadata = {"about": about, "rule": rule, "off": off}
    if factory is not None:
        return field(default_factory=factory, metadata=metadata, repr=not is_secret)
    return field(default=default, metadata=metadata, repr=not is_secret)


def setting_of(cls: Any, name: str, *, default: Any = ..., note: str = "") -> Any:
    """The same field as in another dataclass, so that its default and its help are written once.

    Args:
        cls: that dataclass.
        name: of the field.
        default: instead of the other's.
        note: goes on where the help ends.
    """
    known = cls.__dataclass_fields__[name]
    metadata = {**known.metadata, "about": known.metadata["about"] + note}
    if default is not ...:
        return field(default=default, metadata=metadata, repr=known.repr)
    if known.default_factory is not MISSING:
        return field(default_factory=known.default_factory, metadata=metadata, repr=known.repr)
    return field(default=known.default, metadata=metadata, repr=known.repr)


def default_of(cls: Any, name: str) -> Any:
    """What a field of a dataclass is if it is not given."""
    return cls.__dataclass_fields__[name].default
