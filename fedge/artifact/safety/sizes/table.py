"""One node with what is known about its inputs, and the table of rules that size its outputs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fedge.artifact.safety.messages import Attribute, Number, Shape

Rule = Callable[["Call"], Sequence[Shape]]
Work = Callable[["Call", Sequence[Shape]], int]


class UnsizedError(Exception):
    """Why an output's size cannot be known, in a few words."""


@dataclass(frozen=True, slots=True)
class Call:
    """A node; an omitted input has the shape None.

    `values` holds those of small inputs stored in the graph.
    """

    op_type: str
    shapes: tuple[Shape | None, ...]
    values: tuple[tuple[Number, ...] | None, ...]
    attributes: Mapping[str, Attribute]
    n_outputs: int

    def shape(self, index: int) -> Shape:
        found = self.shapes[index] if index < len(self.shapes) else None
        if found is None:
            raise UnsizedError(f"it lacks input {index}")
        return found

    def has(self, index: int) -> bool:
        return index < len(self.shapes) and self.shapes[index] is not None

    def numbers(self, index: int) -> tuple[Number, ...]:
        """The values of an input that decides a size."""
        found = self.values[index] if index < len(self.values) else None
        if found is None:
            raise UnsizedError(f"its size depends on input {index}, which is not stored")
        return found

    def integers(self, index: int) -> tuple[int, ...]:
        found = self.numbers(index)
        if any(type(value) is not int for value in found):
            raise UnsizedError(f"input {index} is not of integers")
        return tuple(int(value) for value in found)

    def axes(self, index: int, rank: int) -> tuple[int, ...] | None:
        """Axes from an input or, in older forms, an attribute; None if neither is there."""
        if self.has(index):
            found = self.integers(index)
        elif "axes" in self.attributes:
            found = self.options("axes", ())
        else:
            return None
        return tuple(axis_of(axis, rank) for axis in found)

    def option(self, name: str, default: int) -> int:
        if name not in self.attributes:
            return default
        value = self.attributes[name].value
        if not isinstance(value, int):
            raise UnsizedError(f"{name} is no integer")
        return value

    def options(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        if name not in self.attributes:
            return default
        value = self.attributes[name].value
        if not isinstance(value, tuple) or any(type(one) is not int for one in value):
            raise UnsizedError(f"{name} are no integers")
        return tuple(int(one) for one in value)

    def word(self, name: str, default: str) -> str:
        if name not in self.attributes:
            return default
        value = self.attributes[name].value
        if not isinstance(value, bytes):
            raise UnsizedError(f"{name} is no text")
        return value.decode("utf-8", "replace")


_RULES: dict[str, Rule] = {}
_WORK: dict[str, Work] = {}


def rule(*op_types: str, work: Work | None = None) -> Callable[[Rule], Rule]:
    """Registers a rule for these operators."""

    def enter(function: Rule) -> Rule:
        for op_type in op_types:
            if op_type in _RULES:
                raise ValueError(f"two rules for {op_type}")
            _RULES[op_type] = function
            if work is not None:
                _WORK[op_type] = work
        return function

    return enter


def knows(op_type: str) -> bool:
    """Whether there is a rule for this operator."""
    return op_type in _RULES


def shapes_of(call: Call) -> tuple[Shape, ...]:
    """The shapes of a node's outputs.

    Raises:
        UnsizedError: if they cannot be known before it runs, or its inputs do not fit.
    """
    try:
        found = tuple(tuple(shape) for shape in _RULES[call.op_type](call))
    except (IndexError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise UnsizedError(f"its inputs do not fit ({error})") from None
    if len(found) < call.n_outputs or any(size < 0 for shape in found for size in shape):
        raise UnsizedError("its inputs do not fit")
    return found[: call.n_outputs]


def work_of(call: Call, outputs: Sequence[Shape]) -> int:
    """Roughly how many numbers a node touches or multiplies."""
    touched = [*outputs, *(shape for shape in call.shapes if shape is not None)]
    moved = sum(map(math.prod, touched))
    return moved + (_WORK[call.op_type](call, outputs) if call.op_type in _WORK else 0)


def axis_of(axis: int, rank: int) -> int:
    """The axis counted from the front."""
    if not -rank <= axis < max(rank, 1):
        raise UnsizedError(f"it has no axis {axis}")
    return axis % rank if rank else 0


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The common shape of arrays, by NumPy's rules."""
    rank = max(map(len, shapes), default=0)
    result = [1] * rank
    for shape in shapes:
        for i, size in enumerate(shape, start=rank - len(shape)):
            if size != 1 and result[i] not in (1, size):
                raise UnsizedError(f"shapes {list(shapes)} do not fit")
            result[i] = size if size != 1 else result[i]
    return tuple(result)
