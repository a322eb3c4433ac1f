"""What every engine promises, and the one check that all of them make."""

from collections.abc import Mapping
from typing import Protocol

from fedge.errors import ArtifactError
from fedge.types import Array

Shape = tuple[int, ...]


class Engine(Protocol):
    """A graph joined to buffers.

    Laws: `run` reads the current content of the input buffers and overwrites the output buffers;
    it keeps nothing between runs, and the buffers never move. NumPy's warnings are not raised:
    infinity and NaN pass through to the outputs, where the caller looks for them. Two engines
    give the same outputs up to the order of float32 sums.

    Raises:
        TrainingError: from `run`, if the graph fails on what the buffers hold.
    """

    def run(self) -> None: ...


class Opener(Protocol):
    """Joins a graph to the caller's arrays, by name, for any number of runs.

    `threads` are those within one operator; an engine without its own threads ignores it.

    Raises:
        ArtifactError: if the graph cannot be loaded or has other inputs and outputs.
    """

    def __call__(
        self,
        graph: bytes,
        inputs: Mapping[str, Array],
        outputs: Mapping[str, Array],
        *,
        threads: int,
    ) -> Engine: ...


def check_values(what: str, found: Mapping[str, Shape], buffers: Mapping[str, Array]) -> None:
    """Raises ArtifactError unless a graph's inputs, or outputs, match the buffers."""
    if sorted(found) != sorted(buffers):
        raise ArtifactError(
            f"{what} of graph", expected=sorted(buffers)[:20], found=sorted(found)[:20]
        )
    for name, shape in found.items():
        if shape != buffers[name].shape:
            raise ArtifactError(
                f"shape of {name} in graph", expected=buffers[name].shape, found=shape
            )


def first_line(error: Exception) -> str:
    """An engine's own message, short enough to quote in one of ours."""
    return str(error).partition("\n")[0][:300]
