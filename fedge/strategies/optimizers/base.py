"""What an optimizer is, and what it remembers from round to round."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np

from fedge.errors import PayloadError
from fedge.types import Vector


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Everything the next round needs; nothing else is remembered.

    Attributes:
        parameters: float32 (n_trainable,): the trained part of the model.
        memory: the optimizer's own vectors by name, float32 (n_trainable,) each, and its numbers,
            float32 (1,) each.
    """

    parameters: Vector
    memory: Mapping[str, Vector] = field(default_factory=dict)

    def memory_bytes(self) -> bytes:
        """The memory as stored: float32, little-endian, vectors in the order of their names."""
        return b"".join(self.memory[name].astype("<f4").tobytes() for name in sorted(self.memory))


def read_state(
    parameters: Vector, memory: bytes, names: tuple[str, ...], numbers: tuple[str, ...] = ()
) -> State:
    """The state that was stored as these parameters and these `memory_bytes`.

    Args:
        parameters: float32 (n_trainable,).
        memory: the bytes; older releases stored no numbers, which are 0 then.
        names: of the optimizer's vectors.
        numbers: names of its numbers.

    Raises:
        PayloadError: unless there is exactly one vector of the parameters' size for each name.
    """
    sizes = dict.fromkeys(names, parameters.size) | dict.fromkeys(numbers, 1)
    has_numbers = len(memory) != 4 * parameters.size * len(names)
    stored = {name: sizes[name] for name in sorted(sizes) if has_numbers or name in names}
    size = 4 * sum(stored.values())
    if len(memory) != size:
        raise PayloadError("strategy state", expected=f"{size} bytes", found=len(memory))
    values = np.frombuffer(memory, "<f4").astype(np.float32)
    found, start = dict.fromkeys(numbers, np.zeros(1, np.float32)), 0
    for name, length in stored.items():
        found[name] = values[start : start + length]
        start += length
    return State(parameters, found)


class Optimizer(Protocol):
    """Makes the next model from the last one and a cohort's delta.

    Laws: an optimizer is a value, and a step depends on its arguments only; all
    arithmetic is float32, with one rounding per operation, so that every machine gets
    the same bits; a step does not write to its arguments.
    """

    memory_names: ClassVar[tuple[str, ...]]  # the vectors it keeps
    number_names: ClassVar[tuple[str, ...]]  # the numbers it keeps

    def init(self, parameters: Vector) -> State:
        """The state before the first round; parameters float32 (n_trainable,)."""
        ...

    def step(self, state: State, delta: Vector) -> State:
        """One round: from the state before, and the delta that a rule made, to the state after."""
        ...
