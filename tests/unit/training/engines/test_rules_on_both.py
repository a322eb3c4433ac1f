"""Op by op: every trainable operator, and its gradient, on both engines.

The first engine's results are the expected values for the second. They differ by the order of
float32 sums: each of n terms rounds by 6e-8 of the partial sum, and the cases have at most some
hundreds of terms, so 1e-5 of an array's largest element is allowed and no more.
"""

import numpy as np
import onnx
import pytest

from fedge.training.engines import EngineName, load
from fedge.types import Array
from tests.support.gradient_cases import CASES, Case
from tests.support.gradient_graphs import draw_factors, draw_operands, draw_seeds, make_models

TOLERANCE = 1e-5


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_operator_and_its_gradient_are_the_same_on_both_engines(case: Case) -> None:
    rng = np.random.default_rng(0)
    operands = in_float32(draw_operands(case, rng))
    forward, backward, _ = make_models(case, operands, np.float32)
    feeds = {**operands, **in_float32(draw_factors(forward, rng))}
    assert_same(forward, feeds)
    assert_same(backward, {**feeds, **in_float32(draw_seeds(forward, rng))})


def in_float32(arrays: dict[str, Array]) -> dict[str, Array]:
    return {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in arrays.items()}


def assert_same(model: onnx.ModelProto, feeds: dict[str, Array]) -> None:
    want, found = (run(model, feeds, engine) for engine in ("onnxruntime", "reference"))
    for name, expected in want.items():
        scale = max(1e-30, float(np.abs(expected).max(initial=0)))
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=TOLERANCE * scale)


def run(model: onnx.ModelProto, feeds: dict[str, Array], engine: EngineName) -> dict[str, Array]:
    """Results of the engine itself, in buffers that held something else before."""
    inputs = {info.name: feeds[info.name] for info in model.graph.input}
    outputs = {info.name: np.full(*shape_and_type(info)) for info in model.graph.output}
    load(engine)(model.SerializeToString(), inputs, outputs, threads=1).run()
    return outputs


def shape_and_type(info: onnx.ValueInfoProto) -> tuple[tuple[int, ...], float, np.dtype]:
    kind = info.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    return tuple(dim.dim_value for dim in kind.shape.dim), 77, dtype
