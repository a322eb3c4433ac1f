"""Local training: parameters, examples and a plan in, an update out."""

import functools
import itertools
import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import numpy as np

from fedge.artifact import Artifact, Manifest
from fedge.errors import DataError, TrainingError
from fedge.training import dropout, sampling
from fedge.training.data import ArrayData, DataSource
from fedge.training.engines import EngineName
from fedge.training.evaluation import Evaluation, n_right
from fedge.training.graphs import EvalGraph, TrainGraph
from fedge.training.optimizer import LocalSgd
from fedge.training.plan import Plan
from fedge.types import Array, Update, Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One optimizer step: its number (from 1), of how many, the loss before it, the gradient norm.

    The norm is taken before clipping.
    """

    step: int
    n_steps: int
    loss: float
    gradient_norm: float


class Trainer:
    """Trains and evaluates one artifact's model, with no network and no files.

    Graphs are loaded on first use. Memory, besides the graphs' own: parameters, gradient and
    dropout factors for training, parameters for evaluation, and one more vector each for the
    global model, momentum, and batches larger than the artifact's.

    Args:
        artifact: the model.
        threads: of the engine, within one operator.
        engine: what runs the graphs. Nothing replaces it if it is not installed; to fall back on
            another, ask `fedge.training.engines.choose` and tell the user which one it was.

    Raises:
        MissingDependencyError: on first use, if the engine is not installed.
    """

    def __init__(
        self, artifact: Artifact, *, threads: int = 1, engine: EngineName = "onnxruntime"
    ) -> None:
        self.artifact = artifact
        self._threads, self._engine = threads, engine
        self._is_busy = False

    @functools.cached_property
    def _train(self) -> TrainGraph:
        return TrainGraph(self.artifact, self._threads, self._engine)

    @functools.cached_property
    def _eval(self) -> EvalGraph:
        return EvalGraph(self.artifact, self._threads, self._engine)

    def loss_and_gradient(
        self, parameters: Vector, inputs: Mapping[str, Array], targets: Array
    ) -> tuple[float, Vector]:
        """Mean loss over a batch of any size, and its gradient.

        Dropout is off, so the same arguments give the same result: for a model with dropout this
        is the slope of what `evaluate` measures, not the mean gradient of the steps of `fit`.

        Args:
            parameters: (n_params,).
            inputs: one array per input of the model, one row per example.
            targets: one row per example.

        Returns:
            The loss, and float32 (n_trainable,).

        Raises:
            DataError: if the arrays are not what the artifact expects.
            RuntimeError: if `steps` is under way.
        """
        data = ArrayData(dict(inputs), targets).check(self.artifact.manifest)
        _check_examples(data)
        self._start(parameters)
        loss, gradient = self._train.run(data, np.arange(data.n_examples))
        return loss, gradient.copy()

    def evaluate(self, parameters: Vector, data: DataSource) -> Evaluation:
        """Loss and accuracy over all examples; may be called between two steps.

        Raises:
            DataError: if there are no examples, or they are not what the artifact expects.
        """
        data = _fitting(data, self.artifact.manifest)
        n = _check_examples(data)
        self._load(parameters, self._eval.parameters)
        size, name = self.artifact.manifest.batch_size, self.artifact.manifest.loss
        loss, right, n_answers = 0.0, 0, 0
        for start in range(0, n, size):
            losses, scores = self._eval.run(data, np.arange(start, min(start + size, n)))
            targets = self._eval.batch.target[: len(losses)]
            loss += float(losses.sum(dtype=np.float64))
            right += n_right(name, scores, targets) or 0
            n_answers += targets.size
        accuracy = None if name == "mse" else right / n_answers
        return Evaluation(loss=loss / n, accuracy=accuracy, n_examples=n)

    def fit(
        self, parameters: Vector, data: DataSource, plan: Plan, correction: Vector | None = None
    ) -> Update:
        """Runs all steps of the plan; see `steps`."""
        steps = self.steps(parameters, data, plan, correction)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                update: Update = end.value
                return update

    def steps(
        self, parameters: Vector, data: DataSource, plan: Plan, correction: Vector | None = None
    ) -> Generator[StepReport, None, Update]:
        """Trains one step per `next`; closing the generator early gives no update.

        The caller's parameters, shape (n_params,), are copied first and never written to. The
        plan's seed determines the order of the examples and, independently, what dropout drops.
        A correction, float32 (n_trainable,), is added to every gradient after it was clipped; it
        must not change meanwhile.

        Raises:
            DataError: if there are no examples, or they are not what the artifact expects.
            TrainingError: if a loss, a gradient or the result is not finite.
            RuntimeError: if another `steps` of this trainer is under way.
        """
        data = _fitting(data, self.artifact.manifest)
        n_examples = _check_examples(data)
        n_steps = plan.n_steps(n_examples)
        self._start(parameters)
        self._is_busy = True
        try:
            trained = self._train.parameters[: self.artifact.n_trainable]
            optimizer = LocalSgd(trained, plan, correction)
            order = sampling.batches(n_examples, plan.batch_size, plan.seed)
            rng = dropout.generator(plan.seed)
            total = 0.0
            for step, indices in enumerate(itertools.islice(order, n_steps), start=1):
                loss, gradient = self._train.run(data, indices, rng)
                norm = _norm(gradient)
                if not (math.isfinite(loss) and math.isfinite(norm)):
                    # Arrays were checked as a whole; of a source this is all there is to check.
                    ArrayData(*data.batch(indices)).check(self.artifact.manifest)
                _check_finite(f"step {step}", loss, norm)
                optimizer.step(gradient, norm)
                total += loss
                yield StepReport(step=step, n_steps=n_steps, loss=loss, gradient_norm=norm)
            delta = optimizer.delta()
            _check_finite("the last step", _norm(delta))
            return Update(delta=delta, n_examples=n_examples, n_steps=n_steps, loss=total / n_steps)
        finally:
            self._is_busy = False

    def _start(self, parameters: Vector) -> None:
        if self._is_busy:
            raise RuntimeError("this trainer is in the middle of `steps`; finish or close it first")
        self._load(parameters, self._train.parameters)

    def _load(self, parameters: Vector, buffer: Vector) -> None:
        if np.shape(parameters) != buffer.shape:
            raise ValueError(f"parameters: expected {buffer.shape}, found {np.shape(parameters)}")
        buffer[:] = parameters


def _fitting(data: DataSource, manifest: Manifest) -> DataSource:
    """Arrays are checked once, as a whole; a source is taken at its word."""
    return data.check(manifest) if isinstance(data, ArrayData) else data


def _check_examples(data: DataSource) -> int:
    if data.n_examples < 1:
        raise DataError("examples", expected="at least one", found=data.n_examples)
    return data.n_examples


def _norm(values: Vector) -> float:
    """Euclidean norm; infinite once its square overflows float32, above 1.8e19."""
    with np.errstate(over="ignore", invalid="ignore"):  # the caller checks the result
        return math.sqrt(np.dot(values, values))


def _check_finite(where: str, *values: float) -> None:
    if not all(map(math.isfinite, values)):
        raise TrainingError(
            f"training diverged at {where}: loss or gradient is not finite; a smaller lr may help,"
            " or standardising inputs and numbers to predict (fedge build --standardize federated)"
        )
