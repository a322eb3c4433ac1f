"""JSON from outside: bounded text to values of known keys and types."""

import json
from collections.abc import Mapping
from typing import Any, cast

from fedge.errors import ArtifactError

MAX_BYTES = 4 * 2**20


def parse(data: bytes, what: str) -> object:
    """The JSON value of at most 4 MiB of text.

    Raises:
        ArtifactError: if it is longer, or not JSON.
    """
    if len(data) > MAX_BYTES:
        raise ArtifactError(what, expected=f"at most {MAX_BYTES} bytes", found=len(data))
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise ArtifactError(what, expected="JSON", found="something else") from None


def fields(value: object, what: str, types: Mapping[str, type]) -> dict[str, Any]:
    """A JSON object with exactly these keys and types; a `shape` becomes a tuple of integers.

    Raises:
        ArtifactError: naming the first key that is missing, unknown, or of the wrong type.
    """
    if not isinstance(value, dict) or value.keys() != types.keys():
        found = sorted(value)[:20] if isinstance(value, dict) else type(value).__name__
        raise ArtifactError(f"{what} in manifest", expected=sorted(types), found=found)
    for key, kind in types.items():
        if type(value[key]) is not kind:  # exact, because True is an int to isinstance
            found = type(value[key]).__name__
            raise ArtifactError(f"{key} of {what}", expected=kind.__name__, found=found)
    return {key: _shape(item) if key == "shape" else item for key, item in value.items()}


def _shape(items: list[object]) -> tuple[int, ...]:
    if any(type(item) is not int for item in items):
        raise ArtifactError("shape in manifest", expected="integers", found="something else")
    return tuple(cast("list[int]", items))
