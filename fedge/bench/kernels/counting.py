"""Instructions instead of seconds: the same number on a busy machine as on an idle one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from fedge.bench.instructions import Counter, least
from fedge.bench.kernels import calls
from fedge.bench.kernels.calls import Call
from fedge.bench.kernels.works import Work, chosen
from fedge.bench.table import markdown, table

WHOLE = "(the whole call)"
_HEAD = ("work", "parameters", "kernel", "ours", "each", "plain twin", "twin / ours")
_TWIN_REPEATS = 2  # it may take a thousand times as long


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One kernel in one piece of work.

    Attributes:
        work: such as "encode topk:0.01/int8".
        n_params: of the model.
        kernel: its name, or WHOLE for all that the call does, Python's part included.
        size: how many the kernel worked on.
        unit: what they are.
        ours: instructions of our kernel.
        twin: of the plain one in NumPy; None if it was not counted.
    """

    work: str
    n_params: int
    kernel: str
    size: int
    unit: str
    ours: int
    twin: int | None = None


def count(
    sizes: Sequence[int],
    *,
    kernels: Sequence[str] | None,
    with_twins: bool,
    tell: Callable[[str], None],
) -> list[Line]:
    """All lines for every size.

    Args:
        sizes: numbers of parameters.
        kernels: only these, and no whole calls; all if None.
        with_twins: whether the twins are counted too.
        tell: hears what is next.

    Raises:
        ConfigError: if nothing counts instructions here.
    """
    Counter().close()  # refuses before anything is made
    lines: list[Line] = []
    for n in sizes:
        for work, asked in chosen(n, kernels):
            tell(f"{work.key}, size {n}")
            lines += _lines(work, asked, whole=not kernels, with_twins=with_twins)
    tell("")
    return lines


def text(lines: Sequence[Line], *, as_markdown: bool = False) -> str:
    """The table."""
    draw = markdown if as_markdown else table
    head = (
        "instructions of this process outside the kernel, the fewest of some calls; a kernel's"
        " with its call from Python"
    )
    return f"{head}\n\n{draw(_HEAD, [_row(line) for line in lines])}"


def as_json(lines: Sequence[Line]) -> dict[str, Any]:
    """See `Line`."""
    return {"instructions": [asdict(line) for line in lines]}


def _lines(work: Work, asked: Sequence[Call], *, whole: bool, with_twins: bool) -> Iterator[Line]:
    if whole:
        n, ours = work.n_params, least(work.make)
        yield Line(work=work.key, n_params=n, kernel=WHOLE, size=n, unit="parameter", ours=ours)
    for call in asked:
        size, unit = call.size()
        yield Line(
            work=work.key,
            n_params=work.n_params,
            kernel=call.kernel,
            size=size,
            unit=unit,
            ours=least(partial(calls.again, calls.kernel(call.kernel), call)),
            twin=_twin(call) if with_twins else None,
        )


def _twin(call: Call) -> int:
    twin = calls.twin(call.kernel)
    return least(partial(calls.again, twin, call), repeats=_TWIN_REPEATS)


def _row(line: Line) -> list[str]:
    twin = line.twin
    return [
        line.work,
        str(line.n_params),
        line.kernel,
        str(line.ours),
        f"{line.ours / line.size:.2f} a {line.unit}",
        "-" if twin is None else str(twin),
        "-" if twin is None else f"{twin / max(1, line.ours):.1f}",
    ]
