"""Small models in ONNX's text form, for tests of building."""

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper, parser


def model_of(
    nodes: str,
    *,
    inputs: str = "float[N, 4] x",
    outputs: str = "float[N, 3] y",
    opset: int = 17,
    **tensors: npt.ArrayLike,
) -> onnx.ModelProto:
    """Tensors become initialisers: arrays as given, shapes (tuples) filled with random numbers.

    The numbers are the same for every call, so that no test depends on those that ran before it.
    """
    rng = np.random.default_rng(0)
    text = f'<ir_version: 8, opset_import: ["": {opset}]> m ({inputs}) => ({outputs}) {{ {nodes} }}'
    model = parser.parse_model(text)
    for name, value in tensors.items():
        array = 0.5 * rng.standard_normal(value) if isinstance(value, tuple) else np.asarray(value)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


def perceptron() -> onnx.ModelProto:
    """4 features, 5 hidden units, 3 classes, a final Softmax."""
    return model_of(
        "h = Gemm(x, w1, b1) r = Tanh(h) z = Gemm(r, w2, b2) y = Softmax(z)",
        w1=(4, 5),
        b1=(5,),
        w2=(5, 3),
        b2=(3,),
    )
