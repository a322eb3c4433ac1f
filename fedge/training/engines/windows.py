"""How a kernel moves over the spatial axes of an array, in NumPy: unfolding and folding."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from fedge.types import Array


@dataclass(frozen=True, slots=True)
class Windows:
    """Every tuple has one number per spatial axis.

    Attributes:
        kernel: elements of the kernel.
        strides: steps from one position to the next.
        dilations: steps from one kernel element to the next.
        before: padding at the start.
        after: padding at the end; never less than the last position needs.
        positions: number of positions.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    positions: tuple[int, ...]

    @classmethod
    def over(
        cls,
        size: Sequence[int],
        kernel: Sequence[int],
        *,
        strides: Sequence[int] | None = None,
        dilations: Sequence[int] | None = None,
        pads: Sequence[int] | None = None,
        ceil: bool = False,
    ) -> "Windows":
        """The windows over spatial axes of these sizes, from an ONNX operator's attributes.

        With `ceil`, a last position that only partly fits counts too, unless it would
        start in the padding at the end.
        """
        rank = len(kernel)
        step = tuple(strides or (1,) * rank)
        gap = tuple(dilations or (1,) * rank)
        pad = tuple(pads or (0,) * (2 * rank))
        before, after, positions = pad[:rank], list(pad[rank:]), []
        for i in range(rank):
            span = (kernel[i] - 1) * gap[i] + 1
            room = size[i] + before[i] + after[i] - span
            n = room // step[i] + 1
            if ceil and room % step[i] and n * step[i] < size[i] + before[i]:
                after[i] += n * step[i] - room
                n += 1
            positions.append(n)
        return cls(tuple(kernel), step, gap, before, tuple(after), tuple(positions))

    def padded(self, x: Array, value: float = 0) -> Array:
        """Shapes: x (n, c, *size) to (n, c, *(before + size + after))."""
        if not any(self.before + self.after):
            return x
        out = np.full((*x.shape[:2], *self._full(x.shape[2:])), value, x.dtype)
        out[:, :, *self._inside(x.shape[2:])] = x  # np.pad takes three times as long
        return out

    def taps(self, padded: Array) -> Iterator[Array]:
        """For each kernel element, the values it meets at every position.

        Views of shape (n, c, *positions), in row-major order of the kernel elements.
        """
        for at in product(*map(range, self.kernel)):
            starts = [a * d for a, d in zip(at, self.dilations, strict=True)]
            where = zip(starts, self.positions, self.strides, strict=True)
            yield padded[:, :, *(slice(s, s + (n - 1) * k + 1, k) for s, n, k in where)]

    def unfold(self, x: Array) -> Array:
        """The values at every position. Shapes: x (n, c, *size) to (n, c, kernel, *positions)."""
        padded = self.padded(x)
        n_taps = int(np.prod(self.kernel))
        out = np.empty((*x.shape[:2], n_taps, *self.positions), x.dtype)
        for i, tap in enumerate(self.taps(padded)):
            out[:, :, i] = tap
        return out

    def fold(self, columns: Array, size: Sequence[int]) -> Array:
        """The adjoint of `unfold`: adds every value to the element it came from."""
        out = np.zeros((*columns.shape[:2], *self._full(size)), columns.dtype)
        for i, tap in enumerate(self.taps(out)):
            np.add(tap, columns[:, :, i], out=tap)
        return out[:, :, *self._inside(size)]

    def _full(self, size: Sequence[int]) -> list[int]:
        return [b + s + a for b, s, a in zip(self.before, size, self.after, strict=True)]

    def _inside(self, size: Sequence[int]) -> list[slice]:
        return [slice(b, b + s) for b, s in zip(self.before, size, strict=True)]
