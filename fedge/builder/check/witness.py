"""An artifact's loss and gradient in float64, by NumPy alone: onnxruntime has no part in it."""

from collections.abc import Mapping, Sequence

import numpy as np

from fedge.artifact import Artifact
from fedge.builder.check.double import in_double
from fedge.builder.check.program import Program
from fedge.training import ArrayData
from fedge.training.engines import EngineName, load
from fedge.types import Array, Vector

_EPSILON = float(np.finfo(np.float64).eps)
_TRIALS, _MARGIN = 6, 2
_TINY = 1e-30  # the least rounding, for a loss of 0


class Witness:
    """The loss of some examples near a point, each example with its own weight.

    Dropout drops nothing. Every value that the loss needs is kept, in float64.

    Attributes:
        point: the parameters.
        slots: the trained ones among them.
        loss: sum of weight times loss over the examples, at the point.
        rounding: the float64 rounding error of `loss`: its largest change when the last digit
            of every parameter changes, tried several times.

    Args:
        artifact: the one whose graphs run.
        point: parameters, float32 (n_params,).
        batches: examples, each batch of the size that the graphs take.
        weights: one per example.
    """

    def __init__(
        self, artifact: Artifact, point: Vector, batches: Sequence[ArrayData], weights: Vector
    ) -> None:
        self._artifact, self.point = artifact, point
        self.slots = [slot for slot in artifact.layout if slot.trainable]
        self._weights = weights.reshape(-1, artifact.manifest.batch_size)
        examples = [batch.inputs | {"fedge.target": batch.targets} for batch in batches]
        self._feeds = [
            each | {"fedge.weight": w} for each, w in zip(examples, self._weights, strict=True)
        ]
        self._start = {slot.name: slot.view(point).astype(np.float64) for slot in artifact.layout}
        self._eval = Program(in_double(artifact.eval_graph))
        self._values = [self._eval.values(_double(each) | self._start) for each in examples]
        self.loss = self._total([values["fedge.losses"] for values in self._values])
        self.rounding = self._rounding()

    def loss_at(self, steps: Mapping[str, Array]) -> float:
        """The loss with some slots moved from the point, each by a step in its shape."""
        moved = {name: self._start[name] + step for name, step in steps.items()}
        losses = [self._eval.rerun(each, moved, "fedge.losses") for each in self._values]
        return self._total(losses)

    def _rounding(self) -> float:
        rng = np.random.default_rng(0)
        changes = [abs(self.loss)]
        for _ in range(_TRIALS):
            signs = {n: rng.choice((-1, 1), x.shape) for n, x in self._start.items()}
            last = {name: sign * np.spacing(self._start[name]) for name, sign in signs.items()}
            changes.append(abs(self.loss_at(last) - self.loss) / _EPSILON)
        return _MARGIN * _EPSILON * max(*changes, _TINY)

    def gradient(self) -> Vector:
        """The training graph's gradient of the loss at the point: float64, (n_trainable,)."""
        program = Program(in_double(self._artifact.train_graph))
        total = np.zeros(self._artifact.n_trainable)
        for feeds in self._feeds:
            inputs = _double(feeds | _factors(self._artifact)) | self._start
            found = program.outputs(inputs)
            for slot in self.slots:
                slot.view(total)[...] += found[f"fedge.grad.{slot.name}"]
        return total

    def gradient_by(self, engine: EngineName) -> Vector:
        """The same in float32 by an engine that trains."""
        artifact = self._artifact
        total, part = np.zeros((2, artifact.n_trainable), np.float32)
        outputs = {f"fedge.grad.{slot.name}": slot.view(part) for slot in self.slots}
        outputs["fedge.loss"] = np.zeros((), np.float32)
        inputs = {slot.name: slot.view(self.point) for slot in artifact.layout}
        inputs |= {name: array.copy() for name, array in self._feeds[0].items()}
        inputs |= _factors(artifact)
        graph = load(engine)(artifact.train_graph, inputs, outputs, threads=1)
        for feeds in self._feeds:
            for name, array in feeds.items():
                inputs[name][...] = array
            graph.run()
            total += part
        return total

    def _total(self, losses: list[Array]) -> float:
        return float(np.vdot(self._weights, np.stack(losses)))


def _factors(artifact: Artifact) -> dict[str, Array]:
    """Factors that keep every activation where the training graph would drop some."""
    n = sum(spec.size for spec in artifact.manifest.dropout)
    return {"fedge.dropout": np.ones(n, np.float32)} if n else {}


def _double(values: Mapping[str, Array]) -> dict[str, Array]:
    return {
        name: value.astype(np.float64) if value.dtype == np.float32 else value
        for name, value in values.items()
    }
