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
        memory: the optimizer's own vectors by name, float32 (n_trainable,) each.
    """

    parameters: Vector
    memory: Mapping[str, Vector] = field(default_factory=dict)

    def memory_bytes(self) -> bytes:
        """The memory as stored: float32, little-endian, vectors in the order of their names."""
        return b"".join(self.memory[name].astype("<f4").tobytes() for name in sorted(self.memory))


def read_state(parameters: Vector, memory: bytes, names: tuple[str, ...]) -> State:
    """The state that was stored as these parameters and these `memory_bytes`.

    Raises:
        PayloadError: unless there is exactly one vector of the parameters' size for each name.
    """
    size = 4 * parameters.size * len(names)
    if len(memory) != size:
        raise PayloadError("strategy state", expected=f"{size} bytes", found=len(memory))
    rows = np.frombuffer(memory, "<f4").astype(np.float32).reshape(len(names), parameters.size)
    return State(parameters, dict(zip(sorted(names), rows, strict=True)))


class Optimizer(Protocol):
    """Makes the next model from the last one and a cohort's delta.

    Laws: an optimizer is a value, and a step depends on its arguments only; all
    arithmetic is float32, with one rounding per operation, so that every machine gets
    the same bits; a step does not write to its arguments.
    """

    memory_names: ClassVar[tuple[str, ...]]  # the vectors it keeps

    def init(self, parameters: Vector) -> State:
        """The state before the first round; parameters float32 (n_trainable,)."""
        ...

    def step(self, state: State, delta: Vector) -> State:
        """One round: from the state before, and the delta that a rule made, to the state after."""
        ...
