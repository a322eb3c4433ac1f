"""Matrix products and the like."""

import math
from collections.abc import Sequence

from fedge.artifact.safety.messages import Shape
from fedge.artifact.safety.sizes.table import Call, UnsizedError, broadcast, rule


def _product_work(call: Call, outputs: Sequence[Shape]) -> int:
    """Each element of the output is a sum over the inner axis."""
    return math.prod(outputs[0]) * call.shape(0)[-1]


def _gemm_work(call: Call, outputs: Sequence[Shape]) -> int:
    return math.prod(outputs[0]) * call.shape(0)[0 if call.option("transA", 0) else 1]


def _einsum_work(call: Call, _outputs: Sequence[Shape]) -> int:
    return math.prod(_labels(call)[0].values())


@rule("MatMul", "MatMulInteger", work=_product_work)
def matmul(call: Call) -> list[Shape]:
    """a (..., m, k), b (..., k, n), y (..., m, n)."""
    return [_product(call.shape(0), call.shape(1))]


@rule("QLinearMatMul", work=_product_work)
def q_linear_matmul(call: Call) -> list[Shape]:
    """The same of quantised numbers."""
    return [_product(call.shape(0), call.shape(3))]


@rule("Gemm", work=_gemm_work)
def gemm(call: Call) -> list[Shape]:
    """a (m, k), b (k, n), each transposed by flag; y (m, n)."""
    a, b = call.shape(0), call.shape(1)
    (m, k) = a[::-1] if call.option("transA", 0) else a
    (inner, n) = b[::-1] if call.option("transB", 0) else b
    if k != inner:
        raise UnsizedError(f"shapes {[a, b]} do not fit")
    return [(m, n)]


@rule("Einsum", work=_einsum_work)
def einsum(call: Call) -> list[Shape]:
    """Sums of products, by the letters of an equation."""
    sizes, output = _labels(call)
    return [tuple(sizes[letter] for letter in output)]


def _product(a: Shape, b: Shape) -> Shape:
    wide_a, wide_b = (1, *a) if len(a) == 1 else a, (*b, 1) if len(b) == 1 else b
    if wide_a[-1] != wide_b[-2]:
        raise UnsizedError(f"shapes {[a, b]} do not fit")
    lead = broadcast([wide_a[:-2], wide_b[:-2]])
    return (*lead, *(wide_a[-2:-1] if len(a) > 1 else ()), *(wide_b[-1:] if len(b) > 1 else ()))


def _labels(call: Call) -> tuple[dict[str, int], str]:
    """Each letter's size, and the letters of the output."""
    equation = call.word("equation", "").replace(" ", "")
    if "." in equation:
        raise UnsizedError("its equation has dots")
    terms, arrow, output = equation.partition("->")
    letters = terms.split(",")
    sizes: dict[str, int] = {}
    for i, term in enumerate(letters):
        for letter, size in zip(term, call.shape(i), strict=True):
            if sizes.setdefault(letter, size) != size:
                raise UnsizedError(f"{letter} has two sizes")
    if not arrow:
        output = "".join(sorted(x for x in sizes if terms.count(x) == 1))
    if not set(output) <= sizes.keys():
        raise UnsizedError("its equation has an output letter that no input has")
    return sizes, output
