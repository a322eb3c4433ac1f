"""The sums of one batch, from a model's losses and scores."""

import numpy as np

from fedge.training.metrics.sums import MOST_CROSSED, N_BINS, Form, Sums
from fedge.types import Array, Vector


def sums_of(form: Form, losses: Vector, scores: Array, targets: Array) -> Sums:
    """What a model did on the examples of a batch.

    Values that are not finite make sums that are not finite, without a warning.

    Args:
        form: of the sums.
        losses: (n,).
        scores: (n, n_classes, ..) for classes; logits of the targets' shape for two classes;
            numbers of the targets' shape.
        targets: (n, ..), class indices; probabilities, where above one half means yes; numbers in
            the same units as the scores.
    """
    n, loss = len(losses), float(losses.sum(dtype=np.float64))
    with np.errstate(over="ignore", invalid="ignore"):
        if form.n_classes is None:
            error = scores.astype(np.float64) - targets
            return Sums(
                n,
                targets.size,
                loss,
                squared=float(np.square(error).sum()),
                absolute=float(np.abs(error).sum()),
            )
        if scores.shape == targets.shape:
            chosen, confidence, true = _of_two(scores, targets)
        else:
            chosen, confidence, true = scores.argmax(axis=1), _of_many(scores), targets
        is_right = chosen == true
        return Sums(
            n,
            targets.size,
            loss,
            right=int(np.count_nonzero(is_right)),
            by_class=_by_class(form, true, chosen),
            bins=_bins(confidence.ravel(), is_right.ravel()),
        )


def _of_two(logits: Array, targets: Array) -> tuple[Array, Array, Array]:
    """Chosen class, confidence in it, true class; above 0 is a probability above one half."""
    confidence = 1 / (1 + np.exp(-np.abs(logits.astype(np.float64))))
    return (logits > 0).astype(np.int64), confidence, (targets > 0.5).astype(np.int64)


def _of_many(scores: Array) -> Array:
    """The largest of the softmax's probabilities."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(1 / powers.sum(axis=1, dtype=np.float64))


def _by_class(form: Form, true: Array, chosen: Array) -> Array | None:
    shape, n_classes = form.by_class, form.n_classes
    if shape is None or n_classes is None:
        return None
    true, chosen = true.ravel(), chosen.ravel()
    if n_classes <= MOST_CROSSED:
        return np.bincount(true * n_classes + chosen, minlength=n_classes**2).reshape(shape)
    right = np.bincount(true[true == chosen], minlength=n_classes)
    return np.stack([right, np.bincount(true, minlength=n_classes)], axis=1)


def _bins(confidence: Array, is_right: Array) -> Array:
    place = np.nan_to_num(np.clip(np.ceil(confidence * N_BINS) - 1, 0, N_BINS - 1)).astype(np.int64)
    weights = (None, confidence, is_right)
    return np.stack([np.bincount(place, one, N_BINS).astype(np.float64) for one in weights])
