"""Every rule in the table against the slope of its operator, in float64."""

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from fedge.autodiff import RULES
from tests.support.gradient_cases import CASES, Case
from tests.support.gradient_graphs import draw_factors, draw_operands, draw_seeds, make_models
from tests.support.onnx_runs import ENGINES, Arrays, run_onnxruntime

N_DIRECTIONS = 3


def test_every_rule_has_a_case() -> None:
    assert {case.op_type for case in CASES} == set(RULES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rule_gives_the_slope_of_its_operator(case: Case) -> None:
    rng = np.random.default_rng(0)
    operands = draw_operands(case, rng)
    forward, backward, wanted = make_models(case, operands, np.float64)
    feeds = {**operands, **draw_seeds(forward, rng), **draw_factors(forward, rng)}
    if case.engine != "float32":
        found = ENGINES[case.engine](backward, feeds)
        _assert_slopes(case, forward, feeds, dict(zip(wanted, found, strict=True)), rel=1e-6)
    if case.engine != "onnxruntime":
        found = _float32_gradients(case, feeds)
        _assert_slopes(case, forward, feeds, dict(zip(wanted, found, strict=True)), rel=1e-4)


def _assert_slopes(
    case: Case, forward: onnx.ModelProto, feeds: Arrays, gradients: Arrays, rel: float
) -> None:
    """Each gradient times a direction equals the change of the outputs along it."""
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
    return run_onnxruntime(make_models(case, operands, np.float32)[1], small)
