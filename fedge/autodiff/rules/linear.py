"""Matrix products."""

from math import prod

from fedge.autodiff.graph import Graph, Name, Node
from fedge.autodiff.table import Grads, vjp


@vjp("Gemm")
def gemm(g: Graph, node: Node, dy: Name) -> Grads:
    """y = alpha a b + beta c, a and b transposed by flag. Shapes: a (m, k), b (k, n), y (m, n)."""
    a, b, *rest = node.inputs
    return (
        _gemm_da(g, node, dy, b) if node.needs(0) else None,
        _gemm_db(g, node, dy, a) if node.needs(1) else None,
        _gemm_dc(g, node, dy, rest[0]) if node.needs(2) else None,
    )


def _gemm_da(g: Graph, node: Node, dy: Name, b: Name) -> Name:
    alpha, flipped = node.attributes["alpha"], node.attributes["transB"]
    if node.attributes["transA"]:
        return g.op("Gemm", b, dy, alpha=alpha, transA=flipped, transB=1)
    return g.op("Gemm", dy, b, alpha=alpha, transB=1 - flipped)


def _gemm_db(g: Graph, node: Node, dy: Name, a: Name) -> Name:
    alpha, flipped = node.attributes["alpha"], node.attributes["transA"]
    if node.attributes["transB"]:
        return g.op("Gemm", dy, a, alpha=alpha, transA=1, transB=flipped)
    return g.op("Gemm", a, dy, alpha=alpha, transA=1 - flipped)


def _gemm_dc(g: Graph, node: Node, dy: Name, c: Name) -> Name:
    beta = node.attributes["beta"]
    dc = g.unbroadcast(dy, like=c)
    return dc if beta == 1 else g.op("Mul", dc, g.scalar(beta, like=dc))


@vjp("MatMul")
def matmul(g: Graph, node: Node, dy: Name) -> Grads:
    """y = a @ b, leading axes broadcast. Shapes: a (..., m, k), b (..., k, n), y (..., m, n)."""
    a, b = node.inputs
    if min(g.rank(a), g.rank(b)) < 2:
        raise ValueError("an operand is a vector")
    return (
        _matmul_da(g, dy, a, b) if node.needs(0) else None,
        _matmul_db(g, dy, a, b) if node.needs(1) else None,
    )


def _matmul_da(g: Graph, dy: Name, a: Name, b: Name) -> Name:
    if g.rank(a) == g.rank(b) == 2:
        return g.op("Gemm", dy, b, transB=1)
    return g.unbroadcast(g.op("MatMul", dy, swapped(g, b)), like=a)


def _matmul_db(g: Graph, dy: Name, a: Name, b: Name) -> Name:
    if g.rank(b) == 2:
        # The leading axes of a are just more rows: one product instead of a sum of many.
        rows = prod(g.shape(a)[:-1])
        return g.op("Gemm", _rows(g, a, rows), _rows(g, dy, rows), transA=1)
    return g.unbroadcast(g.op("MatMul", swapped(g, a), dy), like=b)


def _rows(g: Graph, x: Name, n_rows: int) -> Name:
    return g.reshape(x, (n_rows, g.shape(x)[-1]))


def swapped(g: Graph, x: Name) -> Name:
    """The last two axes transposed; onnxruntime fuses this into the product that reads it."""
    *lead, last, previous = (*range(g.rank(x) - 2), g.rank(x) - 1, g.rank(x) - 2)
    return g.transpose(x, (*lead, last, previous))
