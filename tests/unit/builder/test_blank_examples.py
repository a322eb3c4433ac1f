"""Examples at a pole or kink of a formula add nothing to the gradient, rather than NaN."""

from typing import Any

import numpy as np
import pytest

from fedge import Trainer, build_artifact
from tests.support.onnx_texts import model_of

EPS, TWO, ZERO, AXIS = np.array(1e-12), np.array(2.0), np.array(0.0), np.array([1])
LAYER, HEAD = "z = MatMul (x, w) h = Relu (z)", "y = Gemm (d, v, b)"

# Each gets a row of zeros after ReLU; each body is torch's export of the named function.
BODIES = {
    "F.normalize": "n = ReduceL2 <axes = [1], keepdims = 1> (h) c = Clip (n, eps) "
    "s = Shape (h) e = Expand (c, s) d = Div (h, e)",
    "F.normalize with Max": "n = ReduceL2 <axes = [1], keepdims = 1> (h) "
    "c = Max (n, eps) d = Div (h, c)",
    "torch.std": "m = ReduceMean <axes = [1], keepdims = 1> (h) c = Sub (h, m) q = Mul (c, c) "
    "a = ReduceMean <axes = [1], keepdims = 1> (q) e = Sqrt (a) d = Mul (e, h)",
    "a norm by hand": "q = Mul (h, h) "
    "a = ReduceSum <keepdims = 1> (q, axis) e = Sqrt (a) d = Mul (e, h)",
    "sqrt": "d = Sqrt (h)",
    "the root of a power": "half = Constant <value_float = 0.5> () d = Pow (h, half)",
    "log where positive": "p = Greater (h, zero) l = Log (h) d = Where (p, l, zero)",
    "quotient where positive": "p = Greater (h, zero) l = Div (two, h) d = Where (p, l, zero)",
    "reciprocal where positive": "p = Greater (h, zero) l = Reciprocal (h) d = Where (p, l, zero)",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_blank_example_adds_nothing_to_the_gradient_before_it(body: str) -> None:
    """With one of two examples blank, the mean's gradient for w is half the other's."""
    constants = {"axis": AXIS, "eps": EPS, "two": TWO, "zero": ZERO}
    used: dict[str, Any] = {name: value for name, value in constants.items() if name in body}
    model = model_of(
        f"{LAYER} {body} {HEAD}", w=np.eye(4, 5) + 0.1, v=(5, 3), b=np.zeros(3), **used
    )
    artifact = build_artifact(
        model.SerializeToString(), loss="cross_entropy", batch_size=2, trainable="[wvb]"
    )
    trainer, params = Trainer(artifact), artifact.parameters
    row, target = np.array([[1, 2, 3, 4]], np.float32), np.array([2])
    _, alone = trainer.loss_and_gradient(params, {"x": row}, target)
    both = np.concatenate([row, 0 * row])
    _, found = trainer.loss_and_gradient(params, {"x": both}, np.array([2, 0]))
    (w,) = (slot for slot in artifact.layout if slot.name == "w")
    np.testing.assert_allclose(w.view(found), w.view(alone) / 2, rtol=1e-5)
    assert np.isfinite(found).all()
    assert w.view(found).any()
