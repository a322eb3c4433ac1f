"""The work of `fedge bench kernels`, for those who count it and do not time it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from fedge import codecs
from fedge.bench.kernels import calls, inputs
from fedge.codecs import Codec
from fedge.strategies.robust import coordinate_median
from fedge.types import Array, Vector

ENCODED = (
    "topk:0.01/int8",
    "topk:0.001/int8",
    "topk:0.01/sign",
    "topk:0.01/int4",
    "topk:0.01/sign+ctx",
    "eden:1",
    "eden:4",
    "mask:0.1/eden:1",
    "int8",
)
DECODED = ("topk:0.01/int8", "topk:0.01/sign")
ADDED = ("topk:0.01/int8", "eden:1", "int8")
_WEIGHT = 0.5
_COHORT, _MOST_COLUMNS = 100, 2048  # of a median: 800 KB


@dataclass(frozen=True, slots=True)
class Work:
    """Something to do with a model.

    Attributes:
        key: what.
        n_params: of the model.
        make: gives it anew, with its inputs as they were the first time.
    """

    key: str
    n_params: int
    make: Callable[[], Callable[[], object]]

    def calls(self) -> list[calls.Call]:
        """What it asks of the kernels."""
        return calls.record(self.make())


def works(n: int) -> list[Work]:
    """All of it, for a model of n parameters."""
    return [
        *(Work(f"encode {spec}", n, partial(_encode, spec, n)) for spec in ENCODED),
        *(Work(f"decode {spec}", n, partial(_decode, spec, n)) for spec in DECODED),
        Work("decode topk:0.01/sign+ctx", n, partial(_decode_context, n)),
        Work("add topk:0.01/sign+ctx", n, partial(_add_context, n)),
        *(Work(f"add {spec}", n, partial(_add, spec, n)) for spec in ADDED),
        Work("norm", n, partial(_norm, n)),
        Work(
            f"median of {_COHORT}", min(n, _MOST_COLUMNS), partial(_median, min(n, _MOST_COLUMNS))
        ),
        Work("local step", n, partial(_step, n)),
    ]


def chosen(n: int, kernels: Sequence[str] | None) -> list[tuple[Work, list[calls.Call]]]:
    """The works with their calls; of these kernels only, if some are named."""
    found = []
    for work in works(n):
        wanted = [call for call in work.calls() if not kernels or call.kernel in kernels]
        if wanted:
            found.append((work, wanted))
    return found


def _encode(spec: str, n: int) -> Callable[[], object]:
    codec, delta = codecs.get(spec), inputs.delta(n)
    return partial(_send, codec, delta, np.zeros_like(delta) if codec.uses_residual else None)


def _send(codec: Codec, delta: Vector, residual: Vector | None) -> bytes:
    return codec.encode(delta, residual, np.random.default_rng(0))


def _decode(spec: str, n: int) -> Callable[[], object]:
    return partial(codecs.decode, inputs.encode(spec, inputs.delta(n)))


def _decode_context(n: int) -> Callable[[], object]:
    body, k = _context_body(n)
    return _late("unpack_context", body, 1, n, np.zeros(k, np.uint32), np.zeros(k, np.float32))


def _add_context(n: int) -> Callable[[], object]:
    body, k = _context_body(n)
    return _late("scatter_add_context", body, 1, k, _WEIGHT, np.zeros(n, np.float32))


def _context_body(n: int) -> tuple[Array, int]:
    """For the kernels by themselves: the codec sends what is shorter, with or without context."""
    encoding = calls.record(_encode("topk:0.01/sign+ctx", n))
    (packed,) = (call for call in encoding if call.kernel == "pack_context")
    _, *given, _ = packed.before.values()
    k = packed.before["indices"].size
    body = np.zeros(8 * k, np.uint8)
    length = calls.kernel("pack_context")(packed.before["indices"], *given, body)
    return body[: int(str(length))], k


def _add(spec: str, n: int) -> Callable[[], object]:
    payload = inputs.encode(spec, inputs.delta(n))
    return partial(codecs.accumulate, payload, _WEIGHT, np.zeros(n, np.float32))


def _norm(n: int) -> Callable[[], object]:
    """Of every value, as a payload without a sparsifier has them."""
    return _late("sum_of_squares", inputs.delta(n), np.zeros(1))


def _median(n: int) -> Callable[[], object]:
    updates = np.random.default_rng(0).standard_normal((_COHORT, n), np.float32)
    return partial(coordinate_median, updates)


def _step(n: int) -> Callable[[], object]:
    """With momentum, weight decay and a proximal term: all that a step may have."""
    values = [inputs.delta(n, seed) for seed in range(4)]
    return _late("sgd_step", *values, 0.1, 0.9, 1e-4, 0.01)


def _late(name: str, *arguments: object) -> Callable[[], object]:
    """A kernel that is looked up when it is called, so that a recorder can listen."""
    return lambda: calls.kernel(name)(*arguments)
