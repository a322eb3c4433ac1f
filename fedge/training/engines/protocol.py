"""What every engine promises, and the one check that all of them make."""

from collections.abc import Mapping
from typing import Protocol

from fedge.errors import ArtifactError
from fedge.types import Array

Shape = tuple[int, ...]


class Engine(Protocol):
    """A graph joined to buffers.

    Laws: `run` reads what the input buffers hold now and overwrites the output buffers; it keeps
    nothing from one run to the next, and the buffers never move. NumPy's warnings are not
    raised: infinity and NaN go through to the outputs, where the caller looks for them. Two
    engines give the same outputs up to the order of float32 sums.

    Raises:
        TrainingError: from `run`, if the graph fails on what the buffers hold.
    """

    def run(self) -> None: ...


class Opener(Protocol):
    """Joins a graph to the caller's arrays, by name, for any number of runs.

    Threads are those within one operator; an engine that has none of its own takes no notice.

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
    """Raises ArtifactError unless a graph's inputs, or outputs, are what there are buffers for."""
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
    """What an engine's own exception says, short enough for a sentence of ours."""
    return str(error).partition("\n")[0][:300]
