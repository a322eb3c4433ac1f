"""Output shapes of operators, opset 18: a rule for each one a training graph may contain."""

from fedge.artifact.safety.sizes import (
    contraction,
    elementwise,
    layout,
    recurrent,
    reduce,
    resize,
    window,
)
from fedge.artifact.safety.sizes.table import Call, UnsizedError, knows, shapes_of, work_of

__all__ = ["Call", "UnsizedError", "knows", "shapes_of", "work_of"]

_RULES = (contraction, elementwise, layout, recurrent, reduce, resize, window)  # fill the table
