"""The buffers of one micro-batch, which the graph reads in place."""

import numpy as np

from fedge.artifact import Manifest
from fedge.errors import DataError
from fedge.training.data import DataSource
from fedge.types import Array


class Batch:
    """Buffers for `batch_size` examples and their weights in the loss."""

    def __init__(self, manifest: Manifest) -> None:
        size = manifest.batch_size
        self.size = size
        self.inputs = {
            spec.name: np.zeros((size, *spec.shape), spec.dtype) for spec in manifest.inputs
        }
        self.target = np.zeros((size, *manifest.target.shape), manifest.target.dtype)
        self.weight = np.zeros(size, np.float32)

    def fill(self, data: DataSource, indices: Array, weight: float) -> None:
        """Loads up to `size` examples with this weight; the rest repeats the first with weight 0.

        A repeated example has a finite loss where an empty one might not, and 0 times infinity
        would ruin the sum.

        Raises:
            DataError: if the source's names, shapes or dtypes differ from the artifact's.
        """
        inputs, targets = data.batch(indices)
        if inputs.keys() != self.inputs.keys():
            raise DataError("inputs", expected=sorted(self.inputs), found=sorted(inputs))
        n = len(indices)
        for name, buffer in self.inputs.items():
            _copy(name, inputs[name], buffer, n)
        _copy("targets", targets, self.target, n)
        self.weight[:n] = weight
        self.weight[n:] = 0


def _copy(name: str, array: Array, buffer: Array, n: int) -> None:
    if array.shape != (n, *buffer.shape[1:]):
        raise DataError(f"shape of {name}", expected=(n, *buffer.shape[1:]), found=array.shape)
    if not np.can_cast(array.dtype, buffer.dtype, "same_kind"):
        raise DataError(f"dtype of {name}", expected=buffer.dtype, found=array.dtype)
    buffer[:n] = array
    buffer[n:] = buffer[0]
