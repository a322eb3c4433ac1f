"""A case as graphs: the operator, its gradient, and numbers for both."""

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from fedge.autodiff import FACTORS, apply_dropout, find_stored, gradients, to_model, trace
from tests.support.gradient_cases import Case
from tests.support.onnx_runs import Arrays


def draw_operands(case: Case, rng: np.random.Generator) -> dict[str, npt.NDArray]:
    def draw(shape: tuple[int, ...]) -> npt.NDArray:
        return rng.uniform(0.2, 2, shape) if case.positive else rng.standard_normal(shape)

    return {
        f"x{i}": draw(x) if isinstance(x, tuple) else x
        for i, x in enumerate(case.operands)
        if x is not None
    }


def make_models(
    case: Case, operands: Arrays, dtype: npt.DTypeLike
) -> tuple[onnx.ModelProto, onnx.ModelProto, list[str]]:
    """The operator alone, its gradient, and the operands that have a gradient."""
    model = _model(case, operands, dtype)
    n = operands[f"x{case.data}"].shape[0]
    traced = trace(model, batch_size=n, wanted=_differentiable(case.op_type, model))
    g = traced.graph
    outputs = [apply_dropout(g, name)[0] for name in traced.outputs if g.tensors[name].is_float]
    data = [*traced.inputs, *traced.parameters, *({FACTORS} & g.tensors.keys())]
    parameters = [name for name, p in traced.parameters.items() if p.kind != "statistic"]
    wanted = [name for name in (*traced.inputs, *parameters) if g.tensors[name].is_float]
    forward = to_model(g, data, {f"y.{n}": n for n in outputs})
    seeds = {y: g.add_input(f"seed{i}", g.tensors[y]) for i, y in enumerate(outputs)}
    found = gradients(g, seeds, wanted)
    backward = to_model(g, [*data, *seeds.values()], {f"d.{name}": found[name] for name in wanted})
    return forward, backward, wanted


def _differentiable(op_type: str, model: onnx.ModelProto) -> list[str]:
    """Every operand that is not a setting; an exponent is one, but has a gradient too."""
    return [
        name
        for name, found in find_stored(model).items()
        if not found.why.startswith("a setting") or (op_type == "Pow" and found.value.ndim)
    ]


def _model(case: Case, operands: Arrays, dtype: npt.DTypeLike) -> onnx.ModelProto:
    values = {k: v.astype(dtype) if v.dtype.kind == "f" else v for k, v in operands.items()}
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(case.operands)]
    results = [f"y{i}" for i in range(case.n_outputs)]
    data = f"x{case.data}"
    element = helper.np_dtype_to_tensor_dtype(values[data].dtype)
    graph = helper.make_graph(
        [helper.make_node(case.op_type, names, results, **case.attributes)],
        "case",
        [helper.make_tensor_value_info(data, element, values[data].shape)],
        [helper.make_value_info(name, onnx.TypeProto()) for name in results],
        [numpy_helper.from_array(v, name) for name, v in values.items() if name != data],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", case.opset)])


def draw_seeds(forward: onnx.ModelProto, rng: np.random.Generator) -> dict[str, npt.NDArray]:
    types = [info.type.tensor_type for info in forward.graph.output]
    shapes = [tuple(dim.dim_value for dim in kind.shape.dim) for kind in types]
    dtypes = [helper.tensor_dtype_to_np_dtype(kind.elem_type) for kind in types]
    drawn = [rng.standard_normal(shape).astype(t) for shape, t in zip(shapes, dtypes, strict=True)]
    return {f"seed{i}": value for i, value in enumerate(drawn)}


def draw_factors(forward: onnx.ModelProto, rng: np.random.Generator) -> dict[str, npt.NDArray]:
    """Random numbers for dropout's factors, an input that has no gradient."""
    shapes = {i.name: i.type.tensor_type.shape.dim for i in forward.graph.input}
    sizes = [dim.dim_value for dim in shapes.get(FACTORS, ())]
    return {FACTORS: rng.standard_normal(sizes).astype(np.float32)} if sizes else {}
