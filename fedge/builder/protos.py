"""Lists inside ONNX's messages, whose containers have no public type."""

from collections.abc import Iterable
from typing import Any


def replace_items(field: Any, items: Iterable[Any]) -> None:
    """Sets a repeated field; the items may come from the field itself."""
    kept = list(items)
    del field[:]
    field.extend(kept)
