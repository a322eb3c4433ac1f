"""The whole check, slot by slot."""

from collections.abc import Callable

import numpy as np

from fedge.artifact import Artifact, Slot
from fedge.builder.agreement import inference_error
from fedge.builder.check.examples import kinds_of_examples
from fedge.builder.check.report import CheckReport, SlotCheck
from fedge.builder.check.slopes import Slope, compare
from fedge.builder.check.witness import Witness
from fedge.training import ArrayData, Trainer
from fedge.types import Array, Vector

Tell = Callable[[str], None]  # takes one line of progress

_MOVED = 1e-2  # perturbation of the artifact's parameters, relative to their size
# How far a float32 gradient may be from float64's: a share of its norm; so many times the
# reference's own float32 error; and a share of the whole gradient's norm, because a sum that
# should be 0 is as large as the rounding of its terms.
_OF_ITSELF, _OF_REFERENCE, _OF_WHOLE = 0.05, 10, 1e-5


def check_artifact(
    artifact: Artifact, *, seed: int = 0, tell: Tell = lambda _: None
) -> CheckReport:
    """Runs an artifact's graphs on several kinds of examples, at and near its own parameters.

    Args:
        artifact: the one to check.
        seed: of the examples and directions.
        tell: takes lines of progress.

    Raises:
        ArtifactError: if a graph does not load.
        TrainingError: if a graph fails on an example.
    """
    rng = np.random.default_rng(seed)
    data = kinds_of_examples(artifact.manifest, artifact.eval_graph, rng)
    loss, gradient = Trainer(artifact).loss_and_gradient(
        artifact.parameters, data.inputs, data.targets
    )
    batches = _batches(data, artifact.manifest.batch_size)
    return CheckReport(
        loss=loss,
        gradient_norm=_norm(gradient),
        slots=_check_slots(artifact, batches, rng, tell),
        inference_error=max(inference_error(artifact, batch) for batch in batches),
    )


def _check_slots(
    artifact: Artifact, batches: list[ArrayData], rng: np.random.Generator, tell: Tell
) -> tuple[SlotCheck, ...]:
    tell("gradient and loss in float64")
    n = len(batches) * artifact.manifest.batch_size
    weights = (rng.uniform(0.5, 1.5, n) / n).astype(np.float32)
    witness = Witness(artifact, _near(artifact, rng), batches, weights)
    gradient = witness.gradient()
    mine, peer = (witness.gradient_by(e) - gradient for e in ("onnxruntime", "reference"))
    checks: list[SlotCheck] = []
    for slot in witness.slots:
        tell(f"{len(checks) + 1} of {len(witness.slots)}: {slot.name}")
        slope = _slope(witness, slot, slot.view(gradient), rng)
        error = _norm(slot.view(mine))
        allowed = (
            _OF_ITSELF * _norm(slot.view(gradient))
            + _OF_REFERENCE * _norm(slot.view(peer))
            + _OF_WHOLE * _norm(gradient)
        )
        checks.append(
            SlotCheck(
                name=slot.name,
                shape=slot.shape,
                claimed=slope.claimed,
                measured=slope.measured,
                float32_error=error,
                verdict=slope.verdict if error <= allowed else "wrong",
            )
        )
    return tuple(checks)


def _slope(witness: Witness, slot: Slot, own: Array, rng: np.random.Generator) -> Slope:
    """The slope along the first direction in which it is measurable."""
    if not np.isfinite(own).all():
        return Slope(float("nan"), float("nan"), "wrong")
    scale = _size(slot.view(witness.point))
    for way in _ways(own, rng):
        found = compare(witness, slot, own, way, scale)
        if found.verdict != "none":
            break
    return found


def _ways(own: Array, rng: np.random.Generator) -> list[Array]:
    """Half the gradient's unit vector plus half a random direction, which has the same slope.

    Along the gradient alone a missing part would go unseen, and along a random direction alone a
    small gradient would. Then the unit vector by itself, which shows the smallest gradients. The
    slope along each is the gradient's norm.
    """
    norm = np.linalg.norm(own)
    other = rng.standard_normal(own.shape)
    if not norm:
        return [other]
    while abs(np.vdot(own, other)) < 0.3 * norm:
        other = rng.standard_normal(own.shape)
    along = np.vdot(own, other)
    return [own / norm / 2 + other * (norm / along / 2), own / norm]


def _batches(data: ArrayData, size: int) -> list[ArrayData]:
    return [
        ArrayData(*data.batch(np.arange(start, start + size)))
        for start in range(0, data.n_examples, size)
    ]


def _near(artifact: Artifact, rng: np.random.Generator) -> Vector:
    """The artifact's parameters, with each trained one perturbed a little."""
    point = artifact.parameters.copy()
    for slot in artifact.layout:
        if slot.trainable:
            values = slot.view(point)
            step = _MOVED * _size(values) * rng.standard_normal(slot.shape)
            values[...] += step.astype(np.float32)
    return point


def _size(values: Array) -> float:
    """Root mean square, but at most 1, which is plenty for a mask of -1e9; 1 if all are 0."""
    return min(float(np.sqrt(np.mean(values.astype(np.float64) ** 2))) or 1.0, 1.0)


def _norm(values: Array) -> float:
    return float(np.linalg.norm(values.astype(np.float64)))
