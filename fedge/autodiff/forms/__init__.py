"""One form for every operator: that of opset 18, with no implied defaults and no old attributes.

Importing this package fills the table. Sources: ONNX Changelog.md, the versions of each operator
from opset 7 on.
"""

from fedge.autodiff.forms import (
    index,
    layout,
    linear,
    normalization,
    reduce,
    resize,
    values,
    window,
)
from fedge.autodiff.forms.table import Call, emit

FAMILIES = (index, layout, linear, normalization, reduce, resize, values, window)

__all__ = ["FAMILIES", "Call", "emit"]
