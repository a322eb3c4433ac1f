"""Every rule in the table where random numbers never fall: on kinks, ties, zeros and poles.

There are two checks. A law: along any direction the gradient's slope lies between the function's
slopes to the left and to the right, so the shares of tied elements sum to one. And torch, wherever
it gives a finite number. At a pole, where there is no slope to compare with, the incoming gradient
is 0 and the outgoing one must be finite.
"""

import importlib
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from tests.support.gradient_cases import CASES, Case
from tests.support.gradient_graphs import draw_factors, draw_operands, draw_seeds, make_models
from tests.support.onnx_runs import ENGINES, Arrays, run_onnxruntime
from tests.support.tools import need_package

Rng = np.random.Generator
Shape = tuple[int, ...]

EDGES: dict[str, Callable[[Rng, Shape], npt.NDArray]] = {
    "zeros": lambda rng, shape: np.zeros(shape),
    "negative zeros": lambda rng, shape: -np.zeros(shape),
    "one value": lambda rng, shape: np.full(shape, 1.5),
    "constant rows": lambda rng, shape: np.moveaxis(
        np.broadcast_to(rng.standard_normal(shape[0]), (*shape[1:], shape[0])), -1, 0
    ),
    "ties": lambda rng, shape: rng.choice([-0.0, 0.0, 1.0], shape),
    "integers": lambda rng, shape: rng.integers(-3, 4, shape).astype(float),
    "halves": lambda rng, shape: rng.integers(-6, 7, shape) / 2,
}
ONLY_FROM_ZERO = ("Log", "Sqrt", "Pow")  # in cases marked positive: undefined below zero
STEEPEST = 1e4  # slope by finite differences; anything steeper is a pole


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("edge", EDGES)
def test_a_gradient_lies_between_the_slopes_to_the_left_and_to_the_right(
    case: Case, edge: str
) -> None:
    forward, backward, feeds, wanted = _at(case, edge)
    run = ENGINES["onnxruntime" if case.engine == "onnxruntime" else "reference"]
    slopes = [
        (name, way, *_one_sided(partial(run, forward), feeds, name, way, case.step))
        for name in wanted
        for way in _ways(feeds[name].shape)
    ]
    tame = np.all([_is_slope(left) & _is_slope(right) for *_, left, right in slopes], axis=0)
    seeds = _masked(feeds, tame)
    found = dict(zip(wanted, _gradients(case, backward, {**feeds, **seeds}), strict=True))
    dy = np.concatenate([np.ravel(seed) for seed in seeds.values()])
    for name, way, left, right in slopes:
        assert np.isfinite(found[name]).all(), name
        low, high = np.sort([dy * np.where(tame, side, 0) for side in (left, right)], axis=0)
        slack = 20 * min(case.step, 1e-2) + 1e-4 * (1 + np.abs([low, high]).sum())
        assert low.sum() - slack <= np.vdot(found[name], way) <= high.sum() + slack, name


def _ways(shape: Shape) -> Iterator[npt.NDArray]:
    """Directions: all elements alike, each in its own, and some while others stay fixed."""
    rng = np.random.default_rng(2)
    yield np.ones(shape)
    yield from rng.standard_normal((2, *shape))
    for _ in range(2):
        yield (rng.random(shape) < 0.5).astype(float)


def _one_sided(
    run: Callable[[Arrays], list[npt.NDArray]],
    feeds: Arrays,
    name: str,
    way: npt.NDArray,
    step: float,
) -> tuple[npt.NDArray, npt.NDArray]:
    """The slope of every output element, to the left and to the right."""
    inputs = {key: value for key, value in feeds.items() if not key.startswith("seed")}

    def at(sign: int) -> npt.NDArray:
        moved = {**inputs, name: inputs[name] + sign * step * way}
        return np.concatenate([np.ravel(y).astype(float) for y in run(moved)])

    with np.errstate(invalid="ignore"):
        return (at(0) - at(-1)) / step, (at(1) - at(0)) / step


def _is_slope(values: npt.NDArray) -> npt.NDArray:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(values) < STEEPEST)


def _masked(feeds: Arrays, kept: npt.NDArray) -> dict[str, npt.NDArray]:
    """The incoming gradients, set to 0 where they are not kept."""
    seeds = {name: value for name, value in feeds.items() if name.startswith("seed")}
    ends = np.cumsum([value.size for value in seeds.values()])[:-1]
    parts = np.split(kept, ends)
    return {
        name: np.where(part.reshape(value.shape), value, 0).astype(value.dtype)
        for (name, value), part in zip(seeds.items(), parts, strict=True)
    }


# Without torch one test reports it, not each of hundreds.
_WITNESSED = CASES if find_spec("torch") else CASES[:1]


@pytest.mark.parametrize("case", _WITNESSED, ids=str)
@pytest.mark.parametrize("edge", EDGES if find_spec("torch") else [*EDGES][:1])
def test_a_gradient_equals_torchs_where_that_is_finite(case: Case, edge: str, witness: Any) -> None:
    forward, backward, feeds, wanted = _at(case, edge)
    want = witness.torch_gradients(forward, feeds, wanted)
    found = _gradients(case, backward, feeds)
    # torch's MaxPool picks the first of equal elements: only the sum over a channel is the same.
    over = 2 if case.op_type == "MaxPool" else None
    for name, mine, torchs in zip(wanted, found, want, strict=True):
        known = np.isfinite(_summed(torchs, over))
        theirs, ours = _summed(torchs, over)[known], _summed(mine, over)[known]
        scale = 1e-9 + np.abs(theirs).max(initial=0)
        np.testing.assert_allclose(ours, theirs, 1e-4, 1e-5 * scale, err_msg=name)


def _summed(x: npt.NDArray, first_axis: int | None) -> npt.NDArray:
    return x if first_axis is None else x.sum(axis=tuple(range(first_axis, x.ndim)))


@pytest.fixture(scope="module")
def witness() -> Any:
    need_package("torch")
    return importlib.import_module("tests.support.torch_witness")


def _at(case: Case, edge: str) -> tuple[onnx.ModelProto, onnx.ModelProto, Arrays, list[str]]:
    """The operator and its gradient, with every differentiable operand at the edge."""
    rng = np.random.default_rng(0)
    operands = draw_operands(case, rng)
    for i, operand in enumerate(case.operands):
        # A variance stays above zero.
        if isinstance(operand, tuple) and not (case.op_type == "BatchNormalization" and i >= 3):
            drawn = EDGES[edge](rng, operand)
            is_bounded = case.positive and case.op_type in ONLY_FROM_ZERO
            operands[f"x{i}"] = np.abs(drawn) if is_bounded else drawn
    forward, backward, wanted = make_models(case, operands, np.float64)
    seeds = draw_seeds(forward, rng)
    return forward, backward, {**operands, **seeds, **draw_factors(forward, rng)}, wanted


def _gradients(case: Case, backward: onnx.ModelProto, feeds: Arrays) -> list[npt.NDArray]:
    """The gradients, in float64 if onnxruntime can, else in float32."""
    if case.engine == "onnxruntime":
        return run_onnxruntime(backward, feeds)
    small = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in feeds.items()}
    operands = {name: value for name, value in small.items() if not name.startswith("seed")}
    return run_onnxruntime(make_models(case, operands, np.float32)[1], small)


def test_a_power_of_a_negative_number_has_no_slope_by_its_exponent() -> None:
    """(-2)^2 is 4 but (-2)^2.1 is not a real number; and 0^b is 0 for every b above 0."""
    case = Case("Pow", ((3,), (3,)), data=1)
    feeds = {"x0": np.array([-2.0, 0.0, 2.0]), "x1": np.array([2.0, 2.0, 3.0])}
    _, backward, wanted = make_models(case, feeds, np.float64)
    found = run_onnxruntime(backward, {**feeds, "seed0": np.ones(3)})
    by_exponent = dict(zip(wanted, found, strict=True))["x1"]
    np.testing.assert_allclose(by_exponent, [0, 0, 8 * np.log(2)])
