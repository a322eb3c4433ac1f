"""Makes a rule or an optimizer from a part of a spec: its fields say which numbers to read."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from fedge.errors import ConfigError
from fedge.strategies.spec import Part

_LARGEST_WHOLE = 2**31 - 1


def named(kind: type[Any], whose: str, part: Part) -> dict[str, str]:
    """The part's values as text, by the names of this dataclass's fields.

    A first value without a name belongs to the first field.

    Raises:
        ConfigError: for a name that the dataclass does not have, or one that is given twice.
    """
    known = [parameter.name for parameter in fields(kind)]
    given: dict[str, str] = {}
    for place, (said, text) in enumerate(part.values):
        name = said
        if name is None:
            name = known[0] if place == 0 and known else text
        if name not in known:
            raise ConfigError(
                f"{whose} has no parameter {name!r}: it has {listed(known) or 'none'}"
            )
        if name in given:
            raise ConfigError(f"{whose}: {name} is given twice")
        given[name] = text
    return given


def make(kind: type[Any], whose: str, given: Mapping[str, str]) -> Any:
    """An object of this kind; values that it has no field for are ignored.

    Raises:
        ConfigError: for a required field that is not given, or a value that is not a number.
    """
    known = {parameter.name: parameter for parameter in fields(kind)}
    for name, parameter in known.items():
        if name not in given and _is_required(parameter):
            raise ConfigError(f"{whose} needs {name}: write {name}=NUMBER after a colon")
    return kind(
        **{name: _number(whose, known[name], given[name]) for name in known if name in given}
    )


def _is_required(parameter: Field[Any]) -> bool:
    return parameter.default is MISSING and parameter.default_factory is MISSING


def _number(whose: str, parameter: Field[Any], text: str) -> float:
    read, wanted = (_whole, "a whole number") if parameter.type is int else (float, "a number")
    try:
        return read(text)
    except ValueError:
        raise ConfigError(f"{whose}: {parameter.name} must be {wanted}, not {text!r}") from None


def _whole(text: str) -> int:
    number = int(text)
    if abs(number) > _LARGEST_WHOLE:
        raise ValueError
    return number


def form(name: str, kind: type[Any]) -> str:
    """The spec's form for help texts; what is in brackets is optional, with its default."""
    needed = [f"{one.name}=N" for one in fields(kind) if _is_required(one)]
    others = [f"{one.name}={one.default:g}" for one in fields(kind) if not _is_required(one)]
    if needed:
        return f"{name}:{','.join(needed)}" + "".join(f"[,{one}]" for one in others)
    return f"{name}[:{','.join(others)}]" if others else name


def listed(names: Iterable[str]) -> str:
    """Names for an error message, sorted."""
    return ", ".join(sorted(names))
