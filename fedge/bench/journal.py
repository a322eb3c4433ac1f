"""Finished runs in a file, one JSON object a line: what a rerun need not play again."""

import json
import math
import os
from collections.abc import Hashable
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Protocol, TypeVar, get_args, get_origin

from fedge.errors import ConfigError, DataError

MAX_LINE = 2**20  # bytes; a run of a thousand rounds has 10 000


class Run(Protocol):
    """A finished run: a dataclass of numbers, texts, tuples and other such dataclasses."""

    @property
    def setting(self) -> Hashable:
        """What was played; runs of equal settings have equal results on one machine."""
        ...

    def check(self) -> None:
        """ValueError if no run could have these values."""
        ...


R = TypeVar("R", bound=Run)


def append(path: Path, result: Run) -> None:
    """Add a run. A last line that was cut off when an earlier process died is removed first.

    Raises:
        ConfigError: if the file cannot be written.
    """
    line = json.dumps(asdict(result), allow_nan=False) + "\n"  # type: ignore[call-overload] # it is one
    try:
        with path.open("a+b") as file:
            file.truncate(_whole(file.seek(0, os.SEEK_END), path))
            file.write(line.encode())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from None


def read(path: Path, kind: type[R]) -> dict[Any, R]:
    """The runs of a file by their settings; none if it does not exist.

    The last run of a setting counts. A last line that was cut off is no run.

    Args:
        path: the file.
        kind: of the runs.

    Raises:
        ConfigError: if the file cannot be read.
        DataError: if another line is not a run of this kind, naming it.
    """
    found: dict[Any, R] = {}
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE):
                number += 1
                if not line.endswith(b"\n") and len(line) < MAX_LINE:
                    break
                result = _run(line, kind, f"{path}, line {number}")
                found[result.setting] = result
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
    return found


def require_shares(*values: float) -> None:
    """ValueError unless all are 0 to 1."""
    if not all(0 <= value <= 1 for value in values):
        raise ValueError("0 to 1")


def require_counts(*values: float) -> None:
    """ValueError if one is below 0."""
    if any(value < 0 for value in values):
        raise ValueError("0 or more")


def _whole(size: int, path: Path) -> int:
    """How many bytes of the file are whole lines."""
    with path.open("rb") as file:
        start = file.seek(max(0, size - MAX_LINE))
        return start + file.read(MAX_LINE).rfind(b"\n") + 1


def _run(line: bytes, kind: type[R], where: str) -> R:
    try:
        result: R = _rebuilt(kind, json.loads(line))
        result.check()
    except (ValueError, TypeError, RecursionError, OverflowError):
        expected = "a finished run, or no such line: delete it to play that run again"
        raise DataError(where, expected=expected, found=ascii(line[:60].decode("latin1"))) from None
    return result


def _rebuilt(kind: Any, value: Any) -> Any:
    """The value as this type, from what JSON makes of it; TypeError or ValueError if it is not."""
    if is_dataclass(kind):
        types = {item.name: item.type for item in fields(kind)}
        if not isinstance(value, dict) or value.keys() != types.keys():
            raise TypeError
        make: Any = kind
        return make(**{name: _rebuilt(types[name], one) for name, one in value.items()})
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_rebuilt(get_args(kind)[0], one) for one in value)
    if get_origin(kind) is UnionType:
        (other,) = (one for one in get_args(kind) if one is not NoneType)
        return None if value is None else _rebuilt(other, value)
    if kind is float:
        return _finite(value)
    if type(value) is not kind:
        raise TypeError
    return value


def _finite(value: Any) -> float:
    if type(value) not in {int, float} or not math.isfinite(value):
        raise ValueError
    return float(value)
