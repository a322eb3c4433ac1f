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
READ_IN_PART = ("topk:0.01/int8", "mask:0.1/eden:1", "int8")
_WEIGHT = 0.5
_COHORT, _MOST_COLUMNS = 100, 2048  # of a median: 800 KB
_SENT = 0.3  # of the values in a cohort of sparse updates


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
        *(Work(f"read half of {spec}", n, partial(_read, spec, n)) for spec in READ_IN_PART),
        Work("read half of topk:0.01/sign+ctx", n, partial(_read_context, n)),
        Work("norm", n, partial(_norm, n)),
        *_of_cohorts(min(n, _MOST_COLUMNS)),
        Work("local step", n, partial(_step, n)),
    ]


def _of_cohorts(n: int) -> list[Work]:
    makes = {
        f"median of {_COHORT}": _median,
        f"median of what {_COHORT} sent": _median_of_sent,
        f"mean around the median of {_COHORT}": _around_median,
        f"centre {_COHORT}": _centre,
        f"products of {_COHORT}": _products,
        f"mix {_COHORT}": _mix,
    }
    return [Work(name, n, partial(make, n)) for name, make in makes.items()]


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


def _read(spec: str, n: int) -> Callable[[], object]:
    payload = inputs.encode(spec, inputs.delta(n))
    return partial(codecs.decode_range, payload, n // 4, np.zeros(n // 2, np.float32))


def _read_context(n: int) -> Callable[[], object]:
    body, k = _context_body(n)
    return _late("fill_range_context", body, 1, k, n, n // 4, np.zeros(n // 2, np.float32))


def _norm(n: int) -> Callable[[], object]:
    """Of every value, as a payload without a sparsifier has them."""
    return _late("sum_of_squares", inputs.delta(n), np.zeros(1))


def _median(n: int) -> Callable[[], object]:
    return partial(coordinate_median, _updates(n))


def _median_of_sent(n: int) -> Callable[[], object]:
    updates = _updates(n)
    updates[np.random.default_rng(1).random(updates.shape) > _SENT] = np.nan
    return _late("present_tile", updates, _COHORT, np.zeros(n, np.float32))


def _around_median(n: int) -> Callable[[], object]:
    return _late("nearest_tile", _updates(n), _COHORT * 4 // 5, np.zeros(n, np.float32))


def _centre(n: int) -> Callable[[], object]:
    return _late("centre_tile", _updates(n))


def _products(n: int) -> Callable[[], object]:
    return _late("gram_tile", _updates(n), np.zeros((_COHORT, _COHORT)))


def _mix(n: int) -> Callable[[], object]:
    """The mean of four fifths of the updates, of others for each."""
    mixture = np.eye(_COHORT, dtype=np.float32)
    for shift in range(1, _COHORT * 4 // 5):
        mixture += np.roll(np.eye(_COHORT, dtype=np.float32), shift, axis=1)
    mixture /= mixture.sum(axis=1, keepdims=True)
    return _late("mix_tile", mixture, _updates(n), np.zeros((_COHORT, n), np.float32))


def _updates(n: int) -> Vector:
    return np.random.default_rng(0).standard_normal((_COHORT, n), np.float32)


def _step(n: int) -> Callable[[], object]:
    """With momentum, weight decay and a proximal term: all that a step may have."""
    values = [inputs.delta(n, seed) for seed in range(4)]
    return _late("sgd_step", *values, 0.1, 0.9, 1e-4, 0.01)


def _late(name: str, *arguments: object) -> Callable[[], object]:
    """A kernel that is looked up when it is called, so that a recorder can listen."""
    return lambda: calls.kernel(name)(*arguments)
