"""Matrix products."""

from fedge.autodiff.forms.table import Call, canonical
from fedge.autodiff.graph import Graph, Name


@canonical("MatMul")
def matmul(g: Graph, call: Call) -> tuple[Name, ...]:
    """A vector becomes a matrix of one row (left) or one column (right), and back."""
    a, b = call.inputs
    row, column = g.rank(a) == 1, g.rank(b) == 1
    left = g.reshape(a, (1, *g.shape(a))) if row else a
    right = g.reshape(b, (*g.shape(b), 1)) if column else b
    y = g.op("MatMul", left, right)
    kept = list(g.shape(y))
    if column:
        del kept[-1]
    if row:
        del kept[-1 if column else -2]
    return (g.reshape(y, kept),)
