"""Operators whose output has the shape of an input, or of the inputs broadcast together."""

from fedge.artifact.safety.messages import Shape
from fedge.artifact.safety.sizes.table import Call, axis_of, broadcast, rule

_SAME = (
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "CastLike"),
    *("Ceil", "Celu", "Clip", "Cos", "Cosh", "CumSum", "DequantizeLinear", "Elu", "Erf", "Exp"),
    *("EyeLike", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Hardmax", "Identity"),
    *("InstanceNormalization", "IsInf", "IsNaN", "LRN", "LeakyRelu", "Log", "LogSoftmax"),
    *("LpNormalization", "MeanVarianceNormalization", "Mish", "Neg", "Not", "PRelu"),
    *("QuantizeLinear", "Reciprocal", "Relu", "ReverseSequence", "Round", "ScatterElements"),
    *("ScatterND", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softmax", "Softplus"),
    *("Softsign", "Sqrt", "Tan", "Tanh", "ThresholdedRelu", "Trilu"),
)
_BROADCAST = (
    *("Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater"),
    *("GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Or", "Pow"),
    *("Sub", "Sum", "Where", "Xor"),
)


@rule(*_SAME)
def same(call: Call) -> list[Shape]:
    """y has the shape of the first input."""
    return [call.shape(0)]


@rule(*_BROADCAST)
def together(call: Call) -> list[Shape]:
    """y is the inputs' broadcast."""
    return [broadcast([call.shape(i) for i in range(len(call.shapes))])]


@rule("Dropout")
def dropout(call: Call) -> list[Shape]:
    """y and the mask."""
    return [call.shape(0)] * 2


@rule("BatchNormalization")
def batch_normalization(call: Call) -> list[Shape]:
    """y; in training also the new statistics, one per channel."""
    return [call.shape(0), call.shape(3), call.shape(4)]


@rule("LayerNormalization")
def layer_normalization(call: Call) -> list[Shape]:
    """y; the mean and the inverse deviation have size 1 from the axis on."""
    x = call.shape(0)
    axis = axis_of(call.option("axis", -1), len(x))
    small = (*x[:axis], *[1] * (len(x) - axis))
    return [x, small, small]


@rule("DynamicQuantizeLinear")
def dynamic_quantize(call: Call) -> list[Shape]:
    """y, its scale and its zero point."""
    return [call.shape(0), (), ()]
