"""Finished runs in a file, one JSON object a line: what a rerun need not play again."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from fedge.bench.federation.run import Result
from fedge.bench.federation.setting import Setting
from fedge.errors import ConfigError, DataError

MAX_LINE = 2**20  # bytes; a run of a thousand rounds has 10 000


def append(path: Path, result: Result) -> None:
    """Add a run; the line is on its way to the disk when this returns.

    Raises:
        ConfigError: if the file cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(result)) + "\n")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from None


def read(path: Path) -> dict[Setting, Result]:
    """The runs of a file; none if it does not exist. The last run of a setting counts.

    Raises:
        ConfigError: if the file cannot be read.
        DataError: if a line is not a run, naming it.
    """
    found: dict[Setting, Result] = {}
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE):
                number += 1
                result = _result(line, f"{path}, line {number}")
                found[result.setting] = result
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
    return found


def _result(line: bytes, where: str) -> Result:
    try:
        record = json.loads(line)
        setting = Setting(**_checked(record.pop("setting"), Setting))
        accuracies = record.pop("accuracies")
        result = Result(
            setting=setting,
            accuracies=_accuracies(accuracies, setting.rounds),
            **_checked(record, Result, but=("setting", "accuracies")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        expected = "a finished run, or no such line: delete it to play that run again"
        raise DataError(where, expected=expected, found=ascii(line[:60].decode("latin1"))) from None
    return result


def _checked(record: object, kind: type[Any], but: Sequence[str] = ()) -> dict[str, Any]:
    """The record, if it has exactly the fields of a dataclass, and values of their types."""
    types = {item.name: item.type for item in fields(kind) if item.name not in but}
    if not isinstance(record, dict) or record.keys() != types.keys():
        raise ValueError
    for name, value in record.items():
        is_number = types[name] is float and type(value) is int
        if type(value) is not types[name] and not is_number:
            raise TypeError
        if type(value) is not str and not 0 <= value < math.inf:
            raise ValueError
    return record


def _accuracies(values: object, rounds: int) -> tuple[float, ...]:
    if not isinstance(values, list) or len(values) != rounds:
        raise ValueError
    if not all(type(value) in {int, float} and 0 <= value <= 1 for value in values):
        raise ValueError
    return tuple(map(float, values))
