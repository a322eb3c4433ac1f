"""Where each parameter sits in the one flat float32 vector that everything is computed on."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from fedge.errors import ArtifactError
from fedge.types import Array, Vector

Kind = Literal["weight", "bias", "statistic"]

FORMAT_VERSION = 1
MAX_PARAMS = 2**29
MAX_SLOTS = 2**16
MAX_NAME = 1024  # characters
MAX_RANK = 16


@dataclass(frozen=True, slots=True)
class Slot:
    """One parameter: `flat[offset : offset + size]`, row-major, is its value.

    Attributes:
        name: the parameter's name in the graphs.
        shape: empty for a scalar.
        offset: position in the flat vector, in elements.
        trainable: whether local training moves it.
        kind: a "statistic" is read in training but changed by no gradient (means and scales).
    """

    name: str
    shape: tuple[int, ...]
    offset: int
    trainable: bool
    kind: Kind

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def view(self, flat: Vector) -> Array:
        """The slot's part of a flat vector, in the slot's shape, sharing the vector's memory."""
        return flat[self.offset : self.offset + self.size].reshape(self.shape)


# Trainable slots come first, so `flat[:n_trainable]` is what is trained, sent and aggregated;
# frozen parameters and statistics follow. There are no gaps.
Layout = tuple[Slot, ...]


def arrange(entries: Iterable[tuple[str, tuple[int, ...], bool, Kind]]) -> Layout:
    """A layout of (name, shape, trainable, kind): trainable ones first, otherwise as ordered."""
    layout: list[Slot] = []
    offset = 0
    for name, shape, trainable, kind in sorted(entries, key=lambda entry: not entry[2]):
        slot = Slot(name, tuple(shape), offset, trainable, kind)
        layout.append(slot)
        offset += slot.size
    check_layout(tuple(layout))
    return tuple(layout)


def n_params(layout: Layout) -> int:
    """Length of the flat vector."""
    return sum(slot.size for slot in layout)


def n_trainable(layout: Layout) -> int:
    """Length of the flat vector's trained part, which comes first."""
    return sum(slot.size for slot in layout if slot.trainable)


def flatten(layout: Layout, values: Mapping[str, Array], out: Vector) -> None:
    """Writes each slot's value into the flat vector `out`, shape (n_params,)."""
    for slot in layout:
        slot.view(out)[...] = values[slot.name]


def schema_hash(layout: Layout) -> bytes:
    """SHA-256, 32 bytes, of what two models must share to exchange updates.

    The hash is of the ASCII JSON `[format, [[name, shape, "float32", trainable], ...]]`, no spaces.
    """
    slots = [[slot.name, list(slot.shape), "float32", slot.trainable] for slot in layout]
    return hashlib.sha256(
        json.dumps([FORMAT_VERSION, slots], separators=(",", ":")).encode("ascii")
    ).digest()


def check_layout(layout: Layout) -> None:
    """Refuses a layout with gaps, overlaps, repeated names, or frozen slots before trainable ones.

    Raises:
        ArtifactError: naming the rule that is broken and the slot that breaks it.
    """
    if len(layout) > MAX_SLOTS:
        raise ArtifactError("layout", expected=f"at most {MAX_SLOTS} slots", found=len(layout))
    names: set[str] = set()
    end, trainable = 0, True
    for slot in layout:
        check_name(slot.name)
        check_shape(slot.name, slot.shape)
        _require(slot.name not in names, slot, "a name used once", slot.name)
        _require(slot.kind in get_args(Kind), slot, f"kind in {get_args(Kind)}", slot.kind)
        _require(slot.offset == end, slot, f"offset {end}", slot.offset)
        _require(trainable or not slot.trainable, slot, "trainable slots first", "a frozen one")
        names.add(slot.name)
        end, trainable = end + slot.size, slot.trainable
    if end > MAX_PARAMS:
        raise ArtifactError("layout", expected=f"at most {MAX_PARAMS} parameters", found=end)


def check_name(name: str) -> None:
    """Refuses names that a graph cannot have or that fedge reserves (`fedge.*`)."""
    if not (0 < len(name) <= MAX_NAME and name.isprintable()) or name.startswith("fedge."):
        raise ArtifactError(
            "name in manifest",
            expected=f"1 to {MAX_NAME} printable characters, not starting with 'fedge.'",
            found=ascii(name[:40]),
        )


def check_shape(what: str, shape: tuple[int, ...]) -> None:
    """Refuses shapes whose size is not between 1 and 2^29 elements."""
    if len(shape) > MAX_RANK or min(shape, default=1) < 1 or math.prod(shape) > MAX_PARAMS:
        raise ArtifactError(
            f"shape of {what}", expected=f"1 to {MAX_PARAMS} elements", found=list(shape[:MAX_RANK])
        )


def _require(holds: bool, slot: Slot, expected: str, found: object) -> None:  # noqa: FBT001 - a claim
    if not holds:
        raise ArtifactError(f"slot {slot.name}", expected=expected, found=found)
