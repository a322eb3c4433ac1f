"""Verifies an artifact: its graphs load and agree, and its gradient is the slope of its loss."""

from dataclasses import dataclass

import numpy as np

from fedge.artifact import Artifact, InputSpec, Manifest, Slot
from fedge.build.agreement import inference_error
from fedge.training import ArrayData, Trainer
from fedge.types import Array, Vector

# Loss and gradient are float32, so the slope is measured over steps that change
# the loss by about these shares of itself, and one of them must agree: a large
# one crosses corners of Relu, a small one drowns in rounding.
SHARES = (1e-2, 1e-3, 1e-4)
TOLERANCE = 0.02  # of the slope
_ROUNDING = 2e-6  # of the loss, between two evaluations in float32
_OUTPUT_TOLERANCE = 1e-4  # of the largest score


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotCheck:
    """The slope of the loss along one direction of one parameter.

    The direction is the unit gradient plus a random unit vector.
    """

    name: str
    claimed: float  # gradient times direction
    measured: float  # central difference of the loss
    is_right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What was found. Hashes and layout were verified when the artifact was read."""

    loss: float  # mean, of random examples
    gradient_norm: float
    slots: tuple[SlotCheck, ...]
    inference_error: float  # between scores in a batch and those of inference, of the largest

    @property
    def is_right(self) -> bool:
        same_scores = self.inference_error <= _OUTPUT_TOLERANCE
        return same_scores and all(slot.is_right for slot in self.slots)


def check_artifact(artifact: Artifact, *, seed: int = 0) -> CheckReport:
    """Runs an artifact's graphs on one batch of random examples, at its own parameters.

    Numbers are normal; integers are 0, the one index that every table has.

    Raises:
        ArtifactError: if a graph does not load.
    """
    rng = np.random.default_rng(seed)
    data = random_examples(artifact.manifest, rng)
    trainer = Trainer(artifact)
    loss, gradient = trainer.loss_and_gradient(artifact.parameters, data.inputs, data.targets)
    slots = [slot for slot in artifact.layout if slot.trainable]
    return CheckReport(
        loss=loss,
        gradient_norm=float(np.linalg.norm(gradient)),
        slots=tuple(_check_slot(trainer, slot, data, gradient, rng) for slot in slots),
        inference_error=inference_error(artifact, data),
    )


def random_examples(manifest: Manifest, rng: np.random.Generator) -> ArrayData:
    """One full batch of what the manifest says."""
    inputs = {spec.name: _random_input(spec, manifest.batch_size, rng) for spec in manifest.inputs}
    shape = (manifest.batch_size, *manifest.target.shape)
    n_classes = manifest.target.n_classes
    targets: Array = rng.integers(0, n_classes, shape) if n_classes else rng.random(shape, "f4")
    return ArrayData(inputs, targets).check(manifest)


def _random_input(spec: InputSpec, n: int, rng: np.random.Generator) -> Array:
    shape, dtype = (n, *spec.shape), np.dtype(spec.dtype)
    values: Array = rng.standard_normal(shape) if dtype.kind == "f" else np.zeros(shape)
    return values.astype(dtype)


def _check_slot(
    trainer: Trainer, slot: Slot, data: ArrayData, gradient: Vector, rng: np.random.Generator
) -> SlotCheck:
    own = slot.view(gradient).astype(np.float64)
    way = _unit(own) + _unit(rng.standard_normal(slot.shape))
    claimed = float(np.vdot(own, way))
    start = trainer.artifact.parameters
    loss = trainer.evaluate(start, data).loss
    measured, is_right = 0.0, False
    for share in SHARES:
        step = share * max(abs(loss), 1e-3) / max(abs(claimed), 1e-6)
        high, low = (
            trainer.evaluate(_moved(start, slot, sign * step * way), data).loss for sign in (1, -1)
        )
        measured = (high - low) / (2 * step)
        allowed = TOLERANCE * max(abs(claimed), abs(measured)) + _ROUNDING * abs(loss) / step
        is_right = abs(measured - claimed) <= allowed
        if is_right:
            break
    return SlotCheck(name=slot.name, claimed=claimed, measured=measured, is_right=is_right)


def _moved(parameters: Vector, slot: Slot, step: Array) -> Vector:
    moved = parameters.copy()
    slot.view(moved)[...] += step.astype(np.float32)
    return moved


def _unit(values: Array) -> Array:
    norm = np.linalg.norm(values)
    return values / norm if norm else values
