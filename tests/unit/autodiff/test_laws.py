"""Laws of gradients, for all shapes and settings that hypothesis comes up with."""

import numpy as np
import numpy.typing as npt
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from fedge.autodiff import Graph, Tensor, gradients, to_model
from tests.support.onnx_runs import run_onnxruntime

FLOAT, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], dict]:
    """Shapes of x and w, and attributes, on both sides of every threshold of the rule."""
    rank, group = draw(st.integers(1, 2)), draw(st.sampled_from([1, 1, 2, 5]))
    per_group, out = draw(st.sampled_from([1, 2, 11, 12])), group * draw(st.integers(1, 2))
    axis = st.lists(st.integers(1, 3), min_size=rank, max_size=rank)
    kernel, strides, dilations = draw(axis), draw(axis), draw(axis)
    pads = draw(st.lists(st.integers(0, 3), min_size=2 * rank, max_size=2 * rank))
    sizes = draw(st.lists(st.integers(1, 9), min_size=rank, max_size=rank))
    for i in range(rank):
        assume(sizes[i] + pads[i] + pads[rank + i] > (kernel[i] - 1) * dilations[i])
    x, w = (2, group * per_group, *sizes), (out, per_group, *kernel)
    return x, w, {"group": group, "strides": strides, "dilations": dilations, "pads": pads}


@settings(max_examples=150, deadline=None)
@given(case=convolutions(), seed=st.integers(0, 9))
@example(case=((1, 1, 1), (1, 1, 1), {}), seed=0)
@example(case=((1, 3, 2, 40), (3, 1, 2, 2), {"group": 3}), seed=0)
def test_the_gradients_of_a_convolution_are_its_adjoints(
    case: tuple[tuple[int, ...], tuple[int, ...], dict], seed: int
) -> None:
    """y is linear in x and in w, so <dy, conv(u, w)> = <dx, u> and <dy, conv(x, v)> = <dw, v>."""
    rng = np.random.default_rng(seed)
    (x, u), (w, v) = (rng.standard_normal((2, *s)).astype(np.float32) for s in case[:2])
    g = Graph()
    g.add_input("x", Tensor(FLOAT, case[0]))
    g.add_input("w", Tensor(FLOAT, case[1]))
    y = g.op("Conv", "x", "w", **{"group": 1, **case[2]})
    forward = to_model(g, ["x", "w"], {"y": y})
    g.add_input("dy", g.tensors[y])
    found = gradients(g, {y: "dy"}, ["x", "w"])
    dy = rng.standard_normal(g.shape(y)).astype(np.float32)
    backward = to_model(g, ["x", "w", "dy"], {"dx": found["x"], "dw": found["w"]})
    dx, dw = run_onnxruntime(backward, {"x": x, "w": w, "dy": dy})
    (along_u,) = run_onnxruntime(forward, {"x": u, "w": w})
    (along_v,) = run_onnxruntime(forward, {"x": x, "w": v})
    scale = 1e-5 * np.linalg.norm(dy) * (np.linalg.norm(along_u) + np.linalg.norm(along_v)) + 1e-4
    assert abs(np.vdot(dx, u) - np.vdot(dy, along_u)) < scale
    assert abs(np.vdot(dw, v) - np.vdot(dy, along_v)) < scale


UNARY = ["Neg", "Tanh", "Sigmoid", "Softplus", "Identity"]
BINARY = ["Add", "Sub", "Mul", "Max"]
steps = st.tuples(st.sampled_from(UNARY + BINARY), st.integers(0, 99), st.integers(0, 99))


@settings(max_examples=100, deadline=None)
@given(program=st.lists(steps, min_size=1, max_size=12), seed=st.integers(0, 9))
@example(program=[("Max", 0, 0)], seed=0)
def test_the_gradient_of_any_expression_is_its_slope(
    program: list[tuple[str, int, int]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = {"a": rng.standard_normal((2, 3)), "b": rng.standard_normal(3)}
    g = Graph()
    known = [g.add_input(name, Tensor(DOUBLE, value.shape)) for name, value in values.items()]
    for op_type, i, j in program:
        operands = [known[i % len(known)], known[j % len(known)]]
        made = g.op(op_type, *operands[: 1 if op_type in UNARY else 2])
        known.append(g.op("Tanh", made) if op_type == "Mul" else made)  # squares of squares blow up
    y = known[-1]
    forward = to_model(g, ["a", "b"], {"y": y})
    g.add_input("dy", g.tensors[y])
    found = gradients(g, {y: "dy"}, ["a", "b"])
    dy = rng.standard_normal(g.shape(y))
    backward = to_model(g, ["a", "b", "dy"], {f"d{name}": found[name] for name in found})
    got = run_onnxruntime(backward, {**values, "dy": dy})
    ways = {name: rng.standard_normal(value.shape) for name, value in values.items()}

    def along(step: float) -> npt.NDArray:
        moved = {name: value + step * ways[name] for name, value in values.items()}
        return run_onnxruntime(forward, moved)[0]

    slope = np.vdot(dy, along(1e-6) - along(-1e-6)) / 2e-6
    claimed = sum(np.vdot(d, ways[name]) for name, d in zip(found, got, strict=True))
    scale = 1 + sum(np.linalg.norm(d) for d in got)
    assert abs(claimed - slope) < 1e-5 * scale
