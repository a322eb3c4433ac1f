"""The artifact's two training graphs, each bound to flat buffers of parameters and results."""

import numpy as np

from fedge.artifact import Artifact, Manifest
from fedge.training import dropout
from fedge.training.batch import Batch
from fedge.training.data import DataSource
from fedge.training.engines import EngineName, load
from fedge.types import Array, Vector


class TrainGraph:
    """The mean loss over a batch and its gradient.

    Attributes:
        parameters: float32 (n_params,); the graph reads it in place, the optimizer writes to it.
        gradient: float32 (n_trainable,), of the latest micro-batch.
    """

    def __init__(
        self, artifact: Artifact, threads: int, engine: EngineName = "onnxruntime"
    ) -> None:
        self.parameters = np.zeros(artifact.n_params, np.float32)
        self.gradient = np.zeros(artifact.n_trainable, np.float32)
        self._sum = self.gradient[:0]  # grows on the first batch of more than one micro-batch
        self._loss = np.zeros((), np.float32)
        self._batch = Batch(artifact.manifest)
        self._dropout = artifact.manifest.dropout
        self._factors = np.zeros(sum(spec.size for spec in self._dropout), np.float32)
        factors = {"fedge.dropout": self._factors} if self._dropout else {}
        gradients = {
            f"fedge.grad.{slot.name}": slot.view(self.gradient)
            for slot in artifact.layout
            if slot.trainable
        }
        self._engine = load(engine)(
            artifact.train_graph,
            _inputs(artifact, self._batch, self.parameters)
            | {"fedge.weight": self._batch.weight}
            | factors,
            {"fedge.loss": self._loss} | gradients,
            threads=threads,
        )

    def run(
        self, data: DataSource, indices: Array, rng: np.random.Generator | None = None
    ) -> tuple[float, Vector]:
        """Loss and gradient; the next run reuses the gradient's memory.

        The rng draws dropout factors for each micro-batch; without one nothing is dropped.
        """
        n, size = len(indices), self._batch.size
        if n <= size:
            return self._run_part(data, indices, 1 / n, rng), self.gradient
        if not len(self._sum):
            self._sum = np.empty_like(self.gradient)
        self._sum[:] = 0
        loss = 0.0
        for start in range(0, n, size):
            loss += self._run_part(data, indices[start : start + size], 1 / n, rng)
            with np.errstate(over="ignore", invalid="ignore"):  # the caller checks the result
                self._sum += self.gradient
        return loss, self._sum

    def _run_part(
        self, data: DataSource, indices: Array, weight: float, rng: np.random.Generator | None
    ) -> float:
        self._batch.fill(data, indices, weight)
        if rng is None:
            self._factors[:] = 1
        else:
            dropout.draw(self._dropout, rng, self._factors)
        self._engine.run()
        return float(self._loss)


class EvalGraph:
    """The loss and the scores of each example; `parameters` as in TrainGraph."""

    def __init__(
        self, artifact: Artifact, threads: int, engine: EngineName = "onnxruntime"
    ) -> None:
        manifest = artifact.manifest
        self.batch = Batch(manifest)
        self.parameters = np.zeros(artifact.n_params, np.float32)
        self._losses = np.zeros(manifest.batch_size, np.float32)
        self._output = np.zeros((manifest.batch_size, *_output_shape(manifest)), np.float32)
        self._engine = load(engine)(
            artifact.eval_graph,
            _inputs(artifact, self.batch, self.parameters),
            {"fedge.losses": self._losses, "fedge.output": self._output},
            threads=threads,
        )

    def run(self, data: DataSource, indices: Array) -> tuple[Vector, Array]:
        """Losses (n,) and scores (n, ..) of up to `batch_size` examples, valid until next run."""
        self.batch.fill(data, indices, 1.0)
        self._engine.run()
        return self._losses[: len(indices)], self._output[: len(indices)]


def _inputs(artifact: Artifact, batch: Batch, parameters: Vector) -> dict[str, Array]:
    views = {slot.name: slot.view(parameters) for slot in artifact.layout}
    return batch.inputs | {"fedge.target": batch.target} | views


def _output_shape(manifest: Manifest) -> tuple[int, ...]:
    """Shape of an example's scores; classes, if any, come first."""
    target = manifest.target
    return target.shape if target.n_classes is None else (target.n_classes, *target.shape)
