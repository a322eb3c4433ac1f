"""What hostile devices train on in place of their own examples."""

from dataclasses import dataclass, replace

import numpy as np

from fedge.training import ArrayData
from fedge.types import Array


def flip_labels(data: ArrayData, *, n_classes: int) -> ArrayData:
    """Every label y becomes n_classes - 1 - y.

    Source: ByzFL 0.0.11, LabelFlipping; there in each batch, here once for all examples.
    """
    return replace(data, targets=n_classes - 1 - data.targets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backdoor:
    """A mark in an example that shall make the model answer with one class.

    The mark is one value in the last few numbers of each example: a corner of an image, the end of
    a signal, the last words of a text.

    Source: Gu et al., 2017, arXiv:1708.06733 (a pattern in a corner); Bagdasaryan et al., 2020,
    arXiv:1807.00459 (in federated learning, on a share of the hostile devices' examples).
    """

    mark: float
    size: int = 4  # numbers that are overwritten
    target: int = 0  # the class
    share: float = 0.5  # of a hostile device's examples

    def poison(self, data: ArrayData) -> ArrayData:
        """Every example up to the share is marked, and labelled with the target."""
        chosen = np.arange(data.n_examples) < round(self.share * data.n_examples)
        targets = np.where(chosen, self.target, data.targets).astype(data.targets.dtype)
        return replace(data, inputs=self._marked(data, chosen), targets=targets)

    def trap(self, test: ArrayData) -> ArrayData:
        """Marked test examples of all other classes, labelled with the target.

        A model's accuracy on them is the share that the mark turns.
        """
        others = np.flatnonzero(test.targets != self.target)
        inputs, targets = test.batch(others)
        found = ArrayData(inputs, np.full_like(targets, self.target), test.checked_for)
        return replace(found, inputs=self._marked(found, np.ones(len(others), np.bool_)))

    def _marked(self, data: ArrayData, chosen: Array) -> dict[str, Array]:
        return {name: self._mark(array, chosen) for name, array in data.inputs.items()}

    def _mark(self, array: Array, chosen: Array) -> Array:
        marked = array.copy()
        flat = marked.reshape(len(array), -1)
        flat[chosen, -self.size :] = self.mark
        return marked


def backdoor_of(test: ArrayData) -> Backdoor:
    """A backdoor whose mark is the largest number that occurs in the test examples."""
    return Backdoor(mark=float(max(array.max() for array in test.inputs.values())))
