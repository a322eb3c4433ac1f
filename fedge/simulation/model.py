"""The demo's own network: a perceptron with two hidden layers, sized to the data."""

import math

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from fedge.errors import ConfigError
from fedge.types import Array


def perceptron(n_features: tuple[int, ...], n_outputs: int, *, seed: int) -> ModelProto:
    """An ONNX model from `x` [batch, *n_features] to `scores` [batch, n_outputs].

    Hidden layers have three units for each feature, but 32 to 256. Weights are drawn as in
    He et al., 2015, arXiv:1502.01852 (fan-in), and stored as [out, in], so that the weights
    of one unit lie side by side in an update.
    """
    n_inputs = math.prod(n_features)
    hidden = min(256, max(32, 3 * n_inputs))
    sizes = [n_inputs, hidden, hidden, n_outputs]
    rng = np.random.default_rng(seed)
    nodes = [helper.make_node("Flatten", ["x"], ["h0"], axis=1)]
    weights = []
    for layer in range(3):
        fan_in, fan_out = sizes[layer], sizes[layer + 1]
        draw = rng.normal(scale=math.sqrt(2 / fan_in), size=(fan_out, fan_in))
        weights += [
            numpy_helper.from_array(draw.astype(np.float32), f"w{layer}"),
            numpy_helper.from_array(np.zeros(fan_out, np.float32), f"b{layer}"),
        ]
        result = "scores" if layer == 2 else f"a{layer}"
        names = [f"h{layer}", f"w{layer}", f"b{layer}"]
        nodes.append(helper.make_node("Gemm", names, [result], transB=1))
        if layer < 2:
            nodes.append(helper.make_node("Relu", [result], [f"h{layer + 1}"]))
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *n_features])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", n_outputs])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def default_loss(targets: Array) -> str:
    """Cross entropy for classes, mean squared error for numbers."""
    return "cross_entropy" if targets.dtype.kind in "iub" else "mse"


def default_model(inputs: dict[str, Array], targets: Array, *, seed: int) -> ModelProto:
    """The perceptron that fits these data.

    Raises:
        ConfigError: if there are several inputs: somebody has to say how they come together.
    """
    if set(inputs) != {"x"}:
        raise ConfigError(
            f"the data has the inputs {', '.join(sorted(inputs))}: give --model FILE.onnx"
            " (there is a default network only for a single array named x)"
        )
    is_class = default_loss(targets) == "cross_entropy"
    n_outputs = int(targets.max()) + 1 if is_class else math.prod(targets.shape[1:])
    return perceptron(inputs["x"].shape[1:], n_outputs, seed=seed)
