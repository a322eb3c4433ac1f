"""Whether an artifact's evaluation graph agrees with inference, and takes scores as it should."""

from collections.abc import Iterable

import numpy as np

from fedge.artifact import Artifact
from fedge.errors import ArtifactError, ModelError
from fedge.training import ArrayData
from fedge.training.engines.onnxruntime import onnxruntime
from fedge.training.graphs import EvalGraph
from fedge.types import Array


def inference_error(artifact: Artifact, data: ArrayData) -> float:
    """Largest difference of inference, one by one, from batched evaluation, over the largest score.

    Only rounding, unless the model mixes its examples, which happens when a model
    exported for a batch of one is given more.

    Raises:
        ArtifactError: if the inference graph does not load or run.
    """
    scores = _scores(artifact, data)
    output = _inferred(artifact, data)
    # The output, if a final activation was removed from the scores.
    shifted = np.exp(scores - scores.max(axis=min(1, scores.ndim - 1), keepdims=True))
    softmax = shifted / shifted.sum(axis=min(1, scores.ndim - 1), keepdims=True)
    sigmoid = 0.5 * (1 + np.tanh(0.5 * scores))
    with np.errstate(divide="ignore"):
        candidates = (scores, softmax, np.log(softmax), sigmoid)
    return min(_difference(output, candidate) for candidate in candidates)


def check_scores(artifact: Artifact, batches: Iterable[ArrayData]) -> None:
    """Refuses class probabilities where cross_entropy takes scores before the softmax.

    Raises:
        ModelError: if the class scores of every example sum to one.
    """
    found = [_scores(artifact, batch) for batch in batches]
    if all((x >= 0).all() and np.allclose(x.sum(axis=1), 1, atol=1e-3) for x in found):
        raise ModelError(
            "the output holds probabilities, but no Softmax at the model's end made them: "
            "cross_entropy takes scores before Softmax; export raw scores, or name the value that"
            " holds them with --output NAME (output=)"
        )


def _scores(artifact: Artifact, data: ArrayData) -> Array:
    graph = EvalGraph(artifact, 1)
    graph.parameters[:] = artifact.parameters
    return graph.run(data, np.arange(data.n_examples))[1].astype(np.float64)


def _inferred(artifact: Artifact, data: ArrayData) -> Array:
    """The first output of the user's model, one example at a time."""
    try:
        session = onnxruntime().InferenceSession(artifact.infer_graph)
        values = {slot.name: slot.view(artifact.parameters) for slot in artifact.layout}
        rows = [
            session.run(None, {name: x[i : i + 1] for name, x in data.inputs.items()} | values)[0]
            for i in range(data.n_examples)
        ]
    except Exception as error:  # onnxruntime's exceptions share no narrower base class
        first = str(error).partition("\n")[0][:300]
        raise ArtifactError("infer.onnx", expected="a graph that runs", found=first) from None
    return np.concatenate(rows)


def _difference(a: Array, b: Array) -> float:
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-30))
