"""All figures of `fedge bench kernels`, in the order of the table."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from fedge.bench.kernels import decoding, encoding, length, peers, robust
from fedge.bench.kernels.figure import Figure

SIZES = (10_000, 50_000, 1_000_000)
_MANY = 50_000  # parameters of which a hundredth is worth to look at by itself
_COHORT = 100_000  # parameters of each update of a cohort: 40 MB in all
_TOPK = ("topk:0.01/int8", "topk:0.001/int8", "topk:0.01/sign")
_OTHERS = ("topk:0.01/sign+ctx", "eden:1", "eden:4", "mask:0.1/eden:1")
_LENGTHS = (*_TOPK, "topk:0.01/int4", "topk:0.01/sign+ctx")


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured, and which peers were asked for and are not installed."""

    figures: tuple[Figure, ...]
    missing: tuple[str, ...]


def measure(
    sizes: Sequence[int], *, with_peers: bool, budget_s: float, tell: Callable[[str], None]
) -> Result:
    """Every figure for every size; NumPy is always there as a peer.

    Args:
        sizes: numbers of parameters.
        with_peers: whether the optional ones are timed too.
        budget_s: for each figure; the least number of repeats may take longer.
        tell: hears what is next.

    Raises:
        AssertionError: if something computes the wrong thing.
    """
    modules, missing = peers.installed(wanted=with_peers)
    figures = []
    for size in sizes:
        for name, step in _steps(size, modules, budget_s):
            tell(f"{name}, size {size}")
            figures.append(step())
    tell("")
    return Result(tuple(figures), tuple(missing))


def _steps(
    n: int, modules: dict[str, Any], budget_s: float
) -> Iterator[tuple[str, Callable[[], Figure]]]:
    for spec in _TOPK:
        yield f"encode {spec}", partial(encoding.topk, spec, n, modules, budget_s)
    yield "quantise int8", partial(encoding.dense, n, modules, budget_s)
    yield "accumulate", partial(decoding.adding, n, modules, budget_s)
    if n < _MANY:
        return  # a header and a call weigh more than what is packed
    yield "pack", partial(encoding.packing, n, budget_s)
    yield "decode", partial(decoding.unpacking, n, budget_s)
    yield "read in part", partial(decoding.in_part, n, budget_s)
    for spec in _OTHERS:
        yield spec, partial(encoding.other, spec, n, budget_s)
    for spec in _LENGTHS:
        yield f"length {spec}", partial(length.length, spec, n, modules)
    if n >= _COHORT:
        yield "median", partial(robust.median, _COHORT, modules, budget_s)
        yield "products", partial(robust.products, _COHORT, modules, budget_s)
        yield "mix", partial(robust.mix, _COHORT, modules, budget_s)
