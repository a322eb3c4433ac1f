"""The cases on which every gradient rule is tested.

A case is one node. One operand, the first unless `data` says otherwise, is the
model's input, the others are stored in the model; a shape stands for random
numbers, an array for itself.

`engine` says what computes the operator and its gradient in float64:
"onnxruntime" if it has float64 kernels for both; else "reference", onnx's own in
NumPy, and onnxruntime's float32 gradient must be within 1e-4 of it; or "float32"
if the reference cannot compute the gradient either (its ConvTranspose does not
support groups): then only the slope is in float64, and onnxruntime's float32
gradient must be within 1e-4 of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Shape = tuple[int, ...]
Engine = Literal["onnxruntime", "reference", "float32"]


@dataclass(frozen=True, slots=True)
class Case:
    op_type: str
    operands: tuple[Shape | npt.NDArray | None, ...]  # None: left out
    attributes: Mapping[str, Any] = field(default_factory=dict)
    n_outputs: int = 1
    opset: int = 18
    engine: Engine = "onnxruntime"
    data: int = 0
    step: float = 1e-5
    positive: bool = False  # draw numbers from 0.2 to 2 instead of the normal distribution

    def __str__(self) -> str:
        shapes = ",".join(
            "-" if x is None else str(x if isinstance(x, tuple) else x.shape).replace(" ", "")
            for x in self.operands
        )
        facts = ",".join(f"{k}={v}" for k, v in self.attributes.items()).replace(" ", "")
        return f"{self.op_type}{shapes}{facts}" + (f"@{self.opset}" if self.opset != 18 else "")


def ints(*values: int) -> npt.NDArray:
    return np.array(values, np.int64)


def case(op_type: str, *operands: Shape | npt.NDArray | None, **attributes: Any) -> Case:
    options = {
        key: attributes.pop(key)
        for key in ("n_outputs", "opset", "engine", "data", "step", "positive")
        if key in attributes
    }
    return Case(op_type, operands, attributes, **options)


def conv(*operands: Shape, **attributes: Any) -> Case:
    grouped = attributes.get("group", 1) > 1
    return case("Conv", *operands, engine="float32" if grouped else "reference", **attributes)


def average(*operands: Shape, **attributes: Any) -> Case:
    return case("AveragePool", *operands, engine="reference", **attributes)


BROADCASTS = [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1, 3), (4, 1)), ((2, 3), (5, 1, 1))]
SAME, COLUMN = np.array([[True, False, True]] * 2), np.array([[True], [False]])

ELEMENTWISE = [
    *[case(op, a, b, positive=True) for op in ("Add", "Sub", "Mul", "Div") for a, b in BROADCASTS],
    *[case(op, (2, 3), (2, 1), (3,)) for op in ("Sum", "Min", "Max")],
    case("Mean", (2, 3), (2, 1), (3,), engine="reference"),
    *[case(op, (2, 3)) for op in ("Max", "Sum", "Identity", "Neg", "Abs", "Exp")],
    case("Erf", (2, 3), engine="float32", step=0.01),  # the reference rounds it to float32
    case("Sin", (2, 3)),
    case("Cos", (2, 3), engine="reference"),
    *[case(op, (2, 3), positive=True) for op in ("Log", "Sqrt", "Reciprocal")],
    case("Pow", (2, 3), (3,), positive=True),
    case("Pow", (2, 3), np.array(3.0)),
    case("Pow", (2, 3), np.array(2, np.int64)),
    *[case("Pow", (2, 3), np.array(b)) for b in (0.0, 1.0, 2.0)],
    *[case("Pow", (2, 3), np.array(b), positive=True) for b in (0.5, 1.5, -1.0)],
    case("Pow", (2, 3), (3,), positive=True, data=1),
    case("Where", SAME, (2, 3), (2, 3)),
    case("Where", COLUMN, (2, 3), (3,)),
    case("Cast", (2, 3), to=1, step=1.0),
]
ACTIVATIONS = [
    *[case(op, (3, 4)) for op in ("Relu", "Sigmoid", "Tanh", "Softplus", "HardSwish")],
    case("LeakyRelu", (3, 4)),
    case("LeakyRelu", (3, 4), alpha=0.3),
    case("PRelu", (2, 3, 4), (3, 1)),
    case("Elu", (3, 4), alpha=0.7),
    case("Elu", (3, 4), alpha=-0.7),
    case("Selu", (3, 4)),
    case("Selu", (3, 4), alpha=-0.5),
    case("HardSigmoid", (3, 4)),
    case("Clip", (3, 4), np.array(-0.5), np.array(0.8)),
    case("Clip", (3, 4), np.array(-0.5)),
    case("Clip", (3, 4), None, np.array(0.8)),
    case("Clip", (3, 4)),
    case("Clip", (3, 4), np.array(-1.0), np.array(1.0)),
    case("Clip", (3, 4), np.array(0.0), None),
    case("Clip", (3, 4), min=0.0, max=6.0, opset=6 + 1),
]
LINEAR = [
    case("Gemm", (2, 3), (3, 4), (4,)),
    case("Gemm", (2, 3), (3, 4), (2, 1), alpha=0.5, beta=1.5),
    case("Gemm", (3, 2), (3, 4), transA=1, alpha=0.5),
    case("Gemm", (2, 3), (4, 3), (1, 4), transB=1, beta=0.25),
    case("Gemm", (3, 2), (4, 3), (2, 4), transA=1, transB=1, alpha=2.0),
    case("MatMul", (2, 3), (3, 4)),
    case("MatMul", (2, 5, 3), (3, 4)),
    case("MatMul", (2, 5, 3), (2, 3, 4)),
    case("MatMul", (2, 1, 5, 3), (6, 3, 4)),
    case("MatMul", (5, 3), (2, 3, 4)),
    case("MatMul", (3,), (3, 4)),
    case("MatMul", (2, 3), (3,)),
    case("MatMul", (3,), (3,)),
    case("MatMul", (3,), (2, 3, 4)),
]
SOFTMAX = [
    case(op, (2, 3, 4), opset=opset, **axis)
    for op in ("Softmax", "LogSoftmax")
    for opset, axis in [
        (18, {}),
        (18, {"axis": 1}),
        (18, {"axis": -3}),
        (11, {}),
        (11, {"axis": 2}),
    ]
]
REDUCTIONS = [
    *[
        case(op, (2, 3, 4), axes, keepdims=keepdims, positive=op == "ReduceL2")
        for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2")
        for axes in (ints(1), ints(-1, 0))
        for keepdims in (0, 1)
    ],
    *[case(op, (2, 3), ints(1)) for op in ("ReduceSumSquare", "ReduceLogSumExp")],
    *[case(op, (2, 3)) for op in ("ReduceSum", "ReduceMean")],
    case("ReduceSum", (2, 3), noop_with_empty_axes=1),
    case("ReduceMean", (2, 3, 4), axes=[1, 2], keepdims=0, opset=13),
    case("ReduceSum", (2, 3, 4), axes=[-2], opset=11),
]
SHAPES = [
    case("Reshape", (2, 6), ints(2, 3, -1)),
    case("Reshape", (2, 6), ints(0, 2, 3)),
    case("Flatten", (2, 3, 4)),
    case("Flatten", (2, 3, 4), axis=-1),
    case("Flatten", (2, 3, 4), axis=0),
    case("Squeeze", (2, 1, 3, 1), ints(1)),
    case("Squeeze", (2, 1, 3, 1)),
    case("Squeeze", (2, 1, 3, 1), axes=[-1], opset=11),
    case("Unsqueeze", (2, 3), ints(0, -1)),
    case("Unsqueeze", (2, 3), axes=[1], opset=11),
    case("Dropout", (2, 3)),
    case("Dropout", (2, 3), ratio=0.9, opset=10),
    case("Dropout", (2, 3), ratio=0.25, opset=7),
    case("Dropout", (2, 3), np.array(0.25), np.array(1, bool), opset=22),
    case("Dropout", (2, 3), np.array(0.0)),
    case("Transpose", (2, 3, 4)),
    case("Transpose", (2, 3, 4), perm=[1, 2, 0]),
    case("Expand", (2, 1, 3), ints(4, 2, 5, 1)),
    case("Tile", (2, 3), ints(2, 3)),
    case("Concat", (2, 3), (2, 1), (2, 2), axis=1),
    case("Concat", (2, 3), (4, 3), axis=-2),
    case("Split", (2, 6), ints(1, 5), axis=1, n_outputs=2),
    case("Split", (2, 7), num_outputs=3, axis=-1, n_outputs=3),
    case("Split", (2, 6), split=[4, 2], axis=1, n_outputs=2, opset=11),
]
INDICES = [
    case("Slice", (4, 5), ints(1), ints(3)),
    case("Slice", (4, 5), ints(1, -3), ints(100, -1), ints(0, 1)),
    case("Slice", (4, 6), ints(1), ints(6), ints(-1), ints(2)),
    case("Slice", (4, 5), ints(-1), ints(-(2**63)), ints(0), ints(-1)),
    case("Slice", (4, 5), ints(3, 4), ints(0, 0), ints(0, 1), ints(-1, -2)),
    case("Slice", (4, 5), starts=[1], ends=[4], axes=[1], opset=9),
    case("Pad", (2, 3), ints(1, 0, 2, 1)),
    case("Pad", (2, 5), ints(0, -1, 1, -2)),
    case("Pad", (2, 3), ints(1, 2), np.array(7.0), ints(-1)),
    case("Pad", (2, 3), pads=[0, 1, 0, 2], opset=10),
    case("Gather", (5, 3), ints(0, 4, 4, -1)),
    case("Gather", (2, 5, 3), np.array([[0, 4], [1, 1]]), axis=1),
    case("Gather", (2, 5), np.array(3, np.int64), axis=-1),
    case("Gather", (3, 4), np.array([[0, 2], [2, 2]]), data=1),
    case("GatherElements", (3, 3), np.array([[1, 2, 0], [2, 0, 0]])),
    case("GatherElements", (3, 3), np.array([[1], [2], [-1]]), axis=1),
]
NORMALIZATION = [
    *[
        case("BatchNormalization", shape, (3,), (3,), (3,), (3,), epsilon=0.1, positive=True)
        for shape in [(2, 3), (2, 3, 4), (2, 3, 4, 5)]
    ],
    case("LayerNormalization", (2, 3, 4), (4,), (4,)),
    case("LayerNormalization", (2, 3, 4), (3, 4), axis=1, epsilon=0.1),
]
CONVOLUTIONS = [
    conv((2, 3, 8), (4, 3, 3), (4,)),
    conv((2, 3, 8), (4, 3, 3), pads=[2, 1], strides=[2], dilations=[2]),
    conv((2, 2, 5, 6), (3, 2, 1, 1), (3,)),
    conv((2, 2, 5, 6), (3, 2, 1, 1), strides=[2, 2]),
    conv((2, 2, 5, 6), (3, 2, 3, 2), (3,), pads=[1, 0, 2, 1]),
    conv((2, 2, 7, 7), (3, 2, 3, 3), strides=[2, 3], pads=[1, 1, 1, 1]),
    conv((2, 2, 8, 8), (3, 2, 3, 3), dilations=[2, 1]),
    conv((2, 13, 4, 5), (2, 13, 2, 3), pads=[0, 1, 1, 1]),
    conv((1, 26, 5, 5), (2, 13, 3, 3), group=2, strides=[2, 2]),
    conv((2, 4, 6, 6), (6, 2, 3, 3), (6,), group=2, pads=[1, 1, 1, 1]),
    conv((2, 4, 6, 6), (4, 1, 3, 3), group=4, pads=[1, 1, 1, 1], strides=[2, 2]),
    conv((2, 3, 6, 5), (6, 1, 2, 2), group=3),
    conv((2, 3, 6, 7), (3, 1, 2, 3), (3,), group=3),
    conv((2, 3, 9, 8), (3, 1, 3, 2), group=3, strides=[2, 3], dilations=[1, 2], pads=[0, 2, 1, 1]),
    conv((2, 2, 3, 40), (2, 1, 1, 3), group=2),
    conv((1, 2, 7, 8), (2, 2, 3, 4), auto_pad="SAME_UPPER", strides=[2, 2]),
    conv((1, 2, 7, 8), (2, 2, 3, 4), auto_pad="SAME_LOWER"),
    conv((1, 2, 7, 8), (2, 2, 3, 4), auto_pad="VALID"),
    conv((1, 2, 3, 4, 4), (2, 2, 2, 2, 3), pads=[0, 1, 0, 1, 0, 0]),
]
POOLING = [
    case("MaxPool", (2, 3, 6), kernel_shape=[2], strides=[2], engine="reference"),
    case("MaxPool", (2, 3, 7, 6), kernel_shape=[2, 3], strides=[2, 3], engine="reference"),
    case("MaxPool", (2, 3, 6), kernel_shape=[3], strides=[1], pads=[1, 1]),
    case("MaxPool", (2, 2, 6, 7), kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]),
    case("MaxPool", (2, 2, 7, 7), kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    case("MaxPool", (1, 2, 7, 7), kernel_shape=[2, 2], dilations=[2, 3]),
    case("MaxPool", (1, 2, 5, 6), kernel_shape=[2, 2], storage_order=1),
    case("MaxPool", (1, 2, 5, 5), kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    case("MaxPool", (1, 2, 4, 4, 4), kernel_shape=[2, 2, 2], strides=[2, 2, 2]),
    case("MaxPool", (2, 2, 4, 4), kernel_shape=[2, 2], strides=[2, 2], opset=7, engine="reference"),
    average((2, 3, 6), kernel_shape=[2], strides=[2]),
    average((2, 3, 7), kernel_shape=[3], strides=[2], pads=[1, 1]),
    average((2, 2, 6, 4), kernel_shape=[3, 2], strides=[3, 2]),
    average((2, 2, 6, 6), kernel_shape=[3, 3], strides=[2, 1], pads=[1, 1, 0, 1]),
    average((2, 2, 5, 5), kernel_shape=[2, 2], pads=[1, 0, 0, 1], count_include_pad=1),
    average((2, 2, 7, 7), kernel_shape=[2, 2], strides=[2, 2]),
    case("GlobalAveragePool", (2, 3, 4), engine="reference"),
    case("GlobalAveragePool", (2, 3, 4, 5), engine="reference"),
    case("GlobalMaxPool", (2, 3, 4, 5), engine="reference"),
]
CASES = [
    *ELEMENTWISE,
    *ACTIVATIONS,
    *LINEAR,
    *SOFTMAX,
    *REDUCTIONS,
    *SHAPES,
    *INDICES,
    *NORMALIZATION,
    *CONVOLUTIONS,
    *POOLING,
]
