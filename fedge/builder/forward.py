"""Forward equals forward: compares the graph that was built with the user's own model.

Both run in onnxruntime, on random examples and on examples with ties, zeros and padding. They must
agree on single examples and on a training batch, and no example's scores may depend on the others
in its batch. If they disagree, the refusal names the first node that differs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from fedge.artifact.safety import check_graph
from fedge.autodiff import Traced, to_model
from fedge.builder.classical import CLASSICAL
from fedge.errors import ArtifactError, ModelError
from fedge.training.engines.onnxruntime import onnxruntime
from fedge.types import Array

Batch = Mapping[str, Array]
Scores = Callable[[Batch], Array]

TOLERANCE = 1e-4  # relative to the largest number in a value
_FLOOR = 1e-6  # in a value's own units: what rounding makes of a zero
_SINGLES = 6  # examples of a batch that also run alone


class _Failed(Exception):  # noqa: N818 - it never leaves this file
    """A model does not load or run, in the runtime's words."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """The user's model, and the graph made from it for batches of one size."""

    model: onnx.ModelProto
    traced: Traced
    batch_size: int
    fixed: int  # the batch size that the model fixes, or 0


def check_forward(model: onnx.ModelProto, traced: Traced, batches: Sequence[Batch]) -> Batch:
    """Runs both on all batches.

    Args:
        model: the user's, unchanged except for the standardisation of its inputs.
        traced: the graph made from it.
        batches: inputs by name, each batch of the size that the graph was built for.

    Returns:
        A batch that both accept.

    Raises:
        ModelError: if one does not run, if they differ, or if examples influence each other;
            naming the node where it starts.
    """
    first = next(iter(batches[0].values()))
    pair = _Pair(_for_inference(model), traced, len(first), _fixed_batch(model, batches[0]))
    own, built = _own(pair), _built(pair)
    taken = [batch for batch in (_taken(pair, own, each) for each in batches) if batch]
    if not taken:
        size = max(1, pair.fixed)
        own({name: np.resize(x, (size, *x.shape[1:])) for name, x in batches[-1].items()})
    for batch in taken:
        scores = built(batch)
        _check_neighbours(pair, built, batch, scores)
        _check_same(pair, own, batch, scores)
    return taken[0]


def _own(pair: _Pair) -> Scores:
    """Runs the user's model; if it fails, its own message becomes the refusal."""
    run: Callable[[Batch], list[Array]] | None = None

    def scores(batch: Batch) -> Array:
        nonlocal run
        try:
            run = run or _open(pair.model)
            return run(batch)[0]
        except _Failed as error:
            raise ModelError(f"the model itself does not run in onnxruntime: {error}") from None

    return scores


def _taken(pair: _Pair, own: Scores, batch: Batch) -> Batch | None:
    """The batch, or copies of the examples that the model accepts; None if it accepts none.

    Examples are made up, so an index may fall outside a table whose size is unknown.
    """
    size = pair.batch_size
    if pair.fixed > 1:
        return batch if _runs(own, batch, next(_groups(pair))) else None
    sound = [i for i in _chosen(size) if _runs(own, batch, (i,))]
    if len(sound) == len(_chosen(size)):
        return batch
    if sound:
        rows = [sound[i % len(sound)] for i in range(size)]
        return {name: x[rows] for name, x in batch.items()}
    return batch if not pair.fixed and _runs(own, batch, range(size)) else None


def _runs(own: Scores, batch: Batch, rows: Sequence[int]) -> bool:
    try:
        own({name: x[list(rows)] for name, x in batch.items()})
    except ModelError:
        return False
    return True


def _built(pair: _Pair) -> Scores:
    """Runs the graph that was built; if it does not run, refuses it naming the node."""
    run: Callable[[Batch], list[Array]] | None = None

    def scores(batch: Batch) -> Array:
        nonlocal run
        try:
            run = run or _open(_graph(pair, {"output": pair.traced.outputs[0]}))
            return run(batch)[0]
        except _Failed as error:
            why = "does not run in the graph built for batches of"
            raise _refusal(pair, _first_failing(pair, batch), why, str(error)) from None

    return scores


def _check_neighbours(pair: _Pair, built: Scores, batch: Batch, scores: Array) -> None:
    """An example must score the same among copies of itself as among others."""
    if pair.batch_size == 1:
        return
    for i in _chosen(pair.batch_size):
        alike = {
            name: np.repeat(x[i : i + 1], pair.batch_size, axis=0) for name, x in batch.items()
        }
        if not _agree(built(alike)[0], scores[i]):
            node = _first_mixing(pair, batch, alike, i)
            why = "lets examples influence each other in batches of"
            raise _refusal(pair, node, why)


def _check_same(pair: _Pair, own: Scores, batch: Batch, scores: Array) -> None:
    """Model and graph must agree, one by one and, if the model can, all at once."""
    for rows in _groups(pair):
        if not _runs(own, batch, rows):
            continue
        wanted = own({name: x[list(rows)] for name, x in batch.items()})
        if not _agree(scores[list(rows)], wanted):
            node = _first_differing(pair, batch, rows) or _output(pair)
            raise _refusal(pair, node, "computes something else in the graph built for batches of")


def _groups(pair: _Pair) -> Iterator[tuple[int, ...]]:
    """Which examples the user's model runs on together."""
    size = pair.batch_size
    if pair.fixed > 1:
        yield tuple(i % size for i in range(pair.fixed))
        return
    yield from ((i,) for i in _chosen(size))
    if not pair.fixed and size > 1:
        yield tuple(range(size))


def _chosen(size: int) -> range:
    return range(min(size, _SINGLES))


def _first_failing(pair: _Pair, batch: Batch) -> str:
    """The user's first node without which the graph runs but with which it does not."""
    names = _intermediate(pair)
    low, high = 0, len(names)  # the first `low` run, the first `high` do not
    while high - low > 1:
        middle = (low + high) // 2
        try:
            part = {name: pair.traced.names[name] for name in names[:middle]}
            _open(_graph(pair, part))(batch)
            low = middle
        except _Failed:
            high = middle
    return names[low] if names else _output(pair)


def _first_mixing(pair: _Pair, batch: Batch, alike: Batch, i: int) -> str:
    """The first value in which example i differs among copies of itself."""
    names = _intermediate(pair)
    run = _open(_graph(pair, {name: pair.traced.names[name] for name in names}))
    for name, a, b in zip(names, run(batch), run(alike), strict=True):
        if a.shape[:1] == (pair.batch_size,) and not _agree(a[i], b[i]):
            return name
    return _output(pair)


def _output(pair: _Pair) -> str:
    return str(pair.model.graph.output[0].name)


def _first_differing(pair: _Pair, batch: Batch, rows: Sequence[int]) -> str | None:
    """The first value on which model and graph disagree."""
    names = _intermediate(pair)
    model = onnx.ModelProto()
    model.CopyFrom(pair.model)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    try:
        wanted = _open(model)({key: x[list(rows)] for key, x in batch.items()})
        found = _open(_graph(pair, {name: pair.traced.names[name] for name in names}))(batch)
    except _Failed:
        return None
    for name, a, b in zip(names, found, wanted, strict=True):
        is_batch = a.shape[:1] == (pair.batch_size,) and b.shape[:1] == (len(rows),)
        if is_batch and not _agree(a[list(rows)], b):
            return name
    return None


def _intermediate(pair: _Pair) -> list[str]:
    """The values of the user's nodes that the graph also has, in order."""
    inputs = {*pair.traced.inputs, *pair.traced.parameters}
    outputs = (name for node in pair.model.graph.node for name in node.output)
    return [name for name in outputs if name in pair.traced.names and name not in inputs]


def _refusal(pair: _Pair, value: str, why: str, reason: str = "") -> ModelError:
    node = next((n for n in pair.model.graph.node if value in n.output), pair.model.graph.node[-1])
    fixed = f"the model is fixed to batches of {pair.fixed}: " if pair.fixed else ""
    return ModelError(
        f"node {node.name or value!r} ({node.op_type}) {why} {pair.batch_size}"
        f"{f' ({reason})' if reason else ''}; {fixed}export it with an open batch axis, and with"
        " nothing that reads the batch as a whole"
    )


def _agree(a: Array, b: Array) -> bool:
    """Equal up to rounding, with NaN and infinity in the same places."""
    if a.shape != b.shape:
        return False
    if a.dtype.kind != "f":
        return bool((a == b).all())
    known = np.isfinite(b)
    largest = float(np.abs(b[known]).max(initial=0.0))
    return np.allclose(a, b, rtol=0, atol=TOLERANCE * largest + _FLOOR, equal_nan=True)


def _graph(pair: _Pair, outputs: Mapping[str, str]) -> onnx.ModelProto:
    """The built graph with the model's own parameters inside, and these outputs."""
    traced = pair.traced
    model = to_model(traced.graph, [*traced.inputs, *traced.parameters], outputs)
    stored = [
        onnx.numpy_helper.from_array(parameter.value, name)
        for name, parameter in traced.parameters.items()
    ]
    model.graph.initializer.extend(stored)
    del model.graph.input[len(traced.inputs) :]
    return model


def _for_inference(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with dropout off and only the first output and what it needs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[1:]
    used, nodes = {copy.graph.output[0].name}, []
    for node in reversed(model.graph.node):
        if not used.isdisjoint(node.output):
            used.update(node.input)
            nodes.append(node)
    del copy.graph.node[:]
    copy.graph.node.extend(reversed(nodes))
    for node in copy.graph.node:
        if node.op_type == "Dropout":
            del node.input[2:]
    return copy


def _fixed_batch(model: onnx.ModelProto, batch: Batch) -> int:
    sizes: set[int] = {
        info.type.tensor_type.shape.dim[0].dim_value
        for info in model.graph.input
        if info.name in batch
    }
    return max(sizes)


def _open(model: onnx.ModelProto) -> Callable[[Batch], list[Array]]:
    """Loads a model into onnxruntime, or into onnx's reference if that is not installed."""
    graph = model.SerializeToString()
    try:
        check_graph(graph, "model", is_sized=False, others=CLASSICAL)
    except ArtifactError as error:
        raise _Failed(str(error)) from None
    if find_spec("onnxruntime") is None:
        return lambda batch: [np.asarray(x) for x in ReferenceEvaluator(model).run(None, {**batch})]
    runtime = onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # errors arrive as exceptions
    try:
        session = runtime.InferenceSession(graph, options)
    except Exception as error:  # onnxruntime's exceptions share no narrower base class
        raise _Failed(_line(error)) from None

    def run(batch: Batch) -> list[Array]:
        try:
            return [np.asarray(value) for value in session.run(None, dict(batch))]
        except Exception as error:
            raise _Failed(_line(error)) from None

    return run


def _line(error: Exception) -> str:
    """The first line, without what onnxruntime says about its own source files."""
    return str(error).partition("\n")[0].partition("/onnxruntime_src")[0].strip()[:300]
