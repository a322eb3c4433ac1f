"""The networks of the bench's tasks, as ONNX models with weights drawn from a seed."""

import itertools
import math
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper


def perceptron(n_inputs: int, hidden: tuple[int, ...], n_classes: int, *, seed: int) -> ModelProto:
    """From `x` float32 (n, n_inputs) through ReLU layers to `scores` (n, n_classes)."""
    net = _Net(seed)
    sizes = [n_inputs, *hidden, n_classes]
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        net.dense(fan_in, fan_out)
        if layer < len(hidden):
            net.add("Relu")
    return net.model(TensorProto.FLOAT, (n_inputs,), n_classes)


def wave_net(n_samples: int, n_classes: int, *, seed: int) -> ModelProto:
    """From `x` float32 (n, 1, n_samples): two strided convolutions, a hidden layer, `scores`."""
    net = _Net(seed)
    fan_in, left = 1, n_samples
    for channels, width, stride in ((12, 9, 3), (24, 5, 2)):
        net.weighted("Conv", (channels, fan_in, width), strides=[stride])
        net.add("Relu")
        fan_in, left = channels, (left - width) // stride + 1
    net.add("Flatten", axis=1)
    net.dense(fan_in * left, 32)
    net.add("Relu")
    net.dense(32, n_classes)
    return net.model(TensorProto.FLOAT, (1, n_samples), n_classes)


def word_net(n_words: int, n_tokens: int, n_classes: int, *, seed: int) -> ModelProto:
    """From `x` int64 (n, n_tokens): the mean of the words' vectors, a hidden layer, `scores`."""
    net = _Net(seed)
    table = net.draw((n_words, 32), scale=0.5)
    net.nodes.append(helper.make_node("Gather", [table, "x"], ["vectors"], axis=0))
    net.last = "vectors"
    net.add("ReduceMean", net.constant([1]), keepdims=0)
    net.dense(32, 32)
    net.add("Relu")
    net.dense(32, n_classes)
    return net.model(TensorProto.INT64, (n_tokens,), n_classes)


class _Net:
    """A chain of layers; each takes the output of the one before."""

    def __init__(self, seed: int) -> None:
        self.nodes: list[NodeProto] = []
        self.last = "x"
        self._weights: list[TensorProto] = []
        self._rng = np.random.default_rng(seed)

    def add(self, op: str, *more: str, **attributes: Any) -> None:
        """One operator."""
        result = f"h{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.last, *more], [result], **attributes))
        self.last = result

    def weighted(self, op: str, shape: tuple[int, ...], **attributes: Any) -> None:
        """One operator with a kernel [out, ..in] and a bias.

        Source: He et al., 2015, arXiv:1502.01852 (scale by fan-in).
        """
        kernel = self.draw(shape, scale=math.sqrt(2 / math.prod(shape[1:])))
        self.add(op, kernel, self._keep(np.zeros(shape[0], np.float32)), **attributes)

    def dense(self, fan_in: int, fan_out: int) -> None:
        self.weighted("Gemm", (fan_out, fan_in), transB=1)

    def draw(self, shape: tuple[int, ...], *, scale: float) -> str:
        """A parameter, normal around zero."""
        return self._keep(self._rng.normal(scale=scale, size=shape).astype(np.float32))

    def constant(self, values: list[int]) -> str:
        return self._keep(np.array(values, np.int64))

    def model(self, dtype: int, shape: tuple[int, ...], n_classes: int) -> ModelProto:
        """The whole model, from `x` to the last layer's output."""
        self.nodes[-1].output[0] = "scores"
        graph = helper.make_graph(
            self.nodes,
            "bench",
            [helper.make_tensor_value_info("x", dtype, ["n", *shape])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", n_classes])],
            self._weights,
        )
        opset = helper.make_opsetid("", 18)
        return helper.make_model(graph, opset_imports=[opset], ir_version=9)

    def _keep(self, values: np.ndarray) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(values, name))
        return name
