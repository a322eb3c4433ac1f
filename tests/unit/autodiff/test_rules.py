"""Every rule of the table against the slope of its operator, in float64."""

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper, numpy_helper

from fedge.autodiff import FACTORS, RULES, apply_dropout, gradients, to_model, trace
from tests.unit.autodiff.cases import CASES, Case
from tests.unit.autodiff.engine import ENGINES, Arrays, run_onnxruntime

N_DIRECTIONS = 3


def test_every_rule_has_a_case() -> None:
    assert {case.op_type for case in CASES} == set(RULES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rule_gives_the_slope_of_its_operator(case: Case) -> None:
    rng = np.random.default_rng(0)
    operands = _operands(case, rng)
    forward, backward, wanted = _models(case, operands, np.float64)
    feeds = {**operands, **_seeds(forward, rng), **_factors(forward, rng)}
    if case.engine != "float32":
        found = ENGINES[case.engine](backward, feeds)
        _assert_slopes(case, forward, feeds, dict(zip(wanted, found, strict=True)), rel=1e-6)
    if case.engine != "onnxruntime":
        found = _float32_gradients(case, feeds)
        _assert_slopes(case, forward, feeds, dict(zip(wanted, found, strict=True)), rel=1e-4)


def _assert_slopes(
    case: Case, forward: onnx.ModelProto, feeds: Arrays, gradients: Arrays, rel: float
) -> None:
    """Each gradient times a direction is how the outputs change along it."""
    rng = np.random.default_rng(1)
    run = ENGINES["onnxruntime" if case.engine == "onnxruntime" else "reference"]
    seeds = [value for name, value in feeds.items() if name.startswith("seed")]
    inputs = {name: value for name, value in feeds.items() if not name.startswith("seed")}
    for name, gradient in gradients.items():
        assert gradient.shape == inputs[name].shape
        for _ in range(N_DIRECTIONS):
            way = rng.standard_normal(gradient.shape)
            ends = [{**inputs, name: inputs[name] + s * case.step * way} for s in (1, -1)]
            high, low = (sum(map(np.vdot, seeds, run(forward, end))) for end in ends)
            slope = (high - low) / (2 * case.step)
            scale = float(np.linalg.norm(gradient) * np.linalg.norm(way))
            assert np.vdot(gradient, way) == pytest.approx(slope, rel=rel, abs=rel * scale), name


def _float32_gradients(case: Case, feeds: Arrays) -> list[npt.NDArray]:
    small = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in feeds.items()}
    operands = {name: value for name, value in small.items() if not name.startswith("seed")}
    return run_onnxruntime(_models(case, operands, np.float32)[1], small)


def _operands(case: Case, rng: np.random.Generator) -> dict[str, npt.NDArray]:
    def draw(shape: tuple[int, ...]) -> npt.NDArray:
        return rng.uniform(0.2, 2, shape) if case.positive else rng.standard_normal(shape)

    return {
        f"x{i}": draw(x) if isinstance(x, tuple) else x
        for i, x in enumerate(case.operands)
        if x is not None
    }


def _models(
    case: Case, operands: Arrays, dtype: npt.DTypeLike
) -> tuple[onnx.ModelProto, onnx.ModelProto, list[str]]:
    """The operator alone, its gradient, and the operands that have one."""
    traced = trace(_model(case, operands, dtype), batch_size=operands[f"x{case.data}"].shape[0])
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


def _seeds(forward: onnx.ModelProto, rng: np.random.Generator) -> dict[str, npt.NDArray]:
    types = [info.type.tensor_type for info in forward.graph.output]
    shapes = [tuple(dim.dim_value for dim in kind.shape.dim) for kind in types]
    dtypes = [helper.tensor_dtype_to_np_dtype(kind.elem_type) for kind in types]
    drawn = [rng.standard_normal(shape).astype(t) for shape, t in zip(shapes, dtypes, strict=True)]
    return {f"seed{i}": value for i, value in enumerate(drawn)}


def _factors(forward: onnx.ModelProto, rng: np.random.Generator) -> dict[str, npt.NDArray]:
    """Any numbers for what dropout multiplies by: an input that has no gradient."""
    shapes = {i.name: i.type.tensor_type.shape.dim for i in forward.graph.input}
    sizes = [dim.dim_value for dim in shapes.get(FACTORS, ())]
    return {FACTORS: rng.standard_normal(sizes).astype(np.float32)} if sizes else {}
