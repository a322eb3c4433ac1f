"""The geometry shared by convolution and pooling, for any number of spatial axes."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from fedge.autodiff.graph import Graph, Name, Node


@dataclass(frozen=True, slots=True)
class Window:
    """How a kernel moves over the spatial axes; every tuple has one number per axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]  # padding
    after: tuple[int, ...]

    @classmethod
    def of(cls, node: Node, kernel: tuple[int, ...]) -> "Window":
        """Reads a node's attributes; strides and dilations default to 1, pads to 0."""
        rank = len(kernel)
        ones, given = (1,) * rank, node.attributes
        pads = tuple(given.get("pads", (0,) * (2 * rank)))
        strides, dilations = given.get("strides", ones), given.get("dilations", ones)
        return cls(kernel, tuple(strides), tuple(dilations), pads[:rank], pads[rank:])

    @property
    def pads(self) -> tuple[int, ...]:
        return self.before + self.after

    @property
    def tiles(self) -> bool:
        """Whether no two positions share an element and none reaches into padding."""
        return self.strides == self.kernel and not any(self.pads) and set(self.dilations) == {1}

    def remainder(self, x: tuple[int, ...], y: tuple[int, ...]) -> list[int]:
        """Elements at the end of each padded axis that the last position does not reach."""
        return [
            x[i] + self.before[i] + self.after[i]
            - (y[i] - 1) * self.strides[i]
            - (self.kernel[i] - 1) * self.dilations[i] - 1
            for i in range(len(x))
        ]  # fmt: skip

    def taps(self, g: Graph, x: Name, y: tuple[int, ...]) -> Iterator[Name]:
        """For each kernel element, the values of x that it meets at every position.

        Args:
            g: the graph.
            x: shape (n, c, *spatial).
            y: the output's spatial shape.

        Yields:
            Values of shape (n, c, *y), in row-major order of the kernel elements.
        """
        if any(self.pads):
            sides = (0, 0, *self.before, 0, 0, *self.after)
            x = g.op("Pad", x, g.ints(sides), g.scalar(0, like=x))
        for tap in product(*map(range, self.kernel)):
            yield self._tap(g, x, y, tap)

    def _tap(self, g: Graph, x: Name, y: tuple[int, ...], tap: tuple[int, ...]) -> Name:
        starts = [at * dilation for at, dilation in zip(tap, self.dilations, strict=True)]
        ends = [s + (n - 1) * k + 1 for s, n, k in zip(starts, y, self.strides, strict=True)]
        if (*starts, *ends) == (*[0] * len(y), *g.shape(x)[2:]) and set(self.strides) == {1}:
            return x
        axes = range(2, 2 + len(y))
        return g.op("Slice", x, g.ints(starts), g.ints(ends), g.ints(axes), g.ints(self.strides))
