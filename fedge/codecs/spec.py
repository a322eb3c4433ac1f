"""Codecs by name."""

import re
from collections.abc import Callable
from fractions import Fraction

from fedge.codecs.budget import LEAST_BUDGET, Budget
from fedge.codecs.codec import Codec
from fedge.codecs.coded import CodedTopK
from fedge.codecs.dense import DenseFloat32, DenseInt8
from fedge.codecs.eden import Eden
from fedge.codecs.scheme import Scheme
from fedge.codecs.sparse import TopK
from fedge.errors import ConfigError

# Every kind, for people: F and B are numbers, what is in brackets may be left out.
SPECS = (
    "topk:F/sign[+ctx]",
    "topk:F/int4[+stochastic][+ctx]",
    "topk:F/int8[+stochastic][+ctx]",
    "topk:F/float32[+ctx]",
    "eden:B",
    "mask:F/eden:B",
    "budget:BYTES",
    "int8",
    "none",
)

_FRACTION = r"(?P<fraction>[0-9]{0,3}\.?[0-9]{1,12}(e-[0-9])?)"
_VALUES = r"(?P<values>sign|int4|int8|float32)(?P<stochastic>\+stochastic)?(?P<coder>\+ctx)?"
_SPARSE = {
    "sign": Scheme.SPARSE_SIGN,
    "int4": Scheme.SPARSE_INT4,
    "int8": Scheme.SPARSE_INT8,
    "float32": Scheme.SPARSE_FLOAT32,
}


def get(spec: str) -> Codec:
    """The codec that spec names; docs/codecs.md helps to choose one.

    topk:F/sign (the default with F = 0.01), topk:F/int4, topk:F/int8 and topk:F/float32 send the
    fraction F of all values, 0 < F <= 1, with error feedback. int4+stochastic and int8+stochastic
    use stochastic rounding instead of rounding to the nearest level; +ctx at the end uses the
    context coder where that is shorter. budget:BYTES sends as much as fits. Without error feedback,
    eden:B sends all values in B = 1 to 4 bits each, mask:F/eden:B does so with a random fraction of
    them, and int8 and none (float32) send all.

    Raises:
        ConfigError: if there is no such codec.
    """
    codec = _find(spec)
    if codec is None:
        raise ConfigError(f"unknown codec {spec!r}: {_advice(spec)}")
    return codec


def _find(spec: str) -> Codec | None:
    for pattern, make in _KINDS:
        parts = re.fullmatch(pattern, spec)
        codec = make(parts) if parts else None
        if codec is not None:
            return codec
    return None


def _advice(spec: str) -> str:
    renamed = spec.replace("+dice", "+stochastic")
    if renamed != spec and _find(renamed) is not None:
        return f"+dice is called +stochastic now, so use {renamed}"
    return (
        "use topk:F/sign, topk:F/int4, topk:F/int8 or topk:F/float32 with 0 < F <= 1, int4 and "
        "int8 with or without +stochastic, each with or without +ctx; or eden:B with B from 1 to "
        f"4, mask:F/eden:B, budget:BYTES with at least {LEAST_BUDGET}, int8, or none"
    )


def _topk(parts: re.Match[str]) -> Codec | None:
    fraction, is_stochastic = _fraction(parts), parts["stochastic"] is not None
    if fraction is None or (is_stochastic and parts["values"] not in {"int4", "int8"}):
        return None
    make = CodedTopK if parts["coder"] else TopK
    return make(parts[0], fraction, _SPARSE[parts["values"]], is_stochastic)


def _mask(parts: re.Match[str]) -> Codec | None:
    fraction = _fraction(parts)
    return None if fraction is None else Eden(parts[0], int(parts["bits"]), fraction)


def _budget(parts: re.Match[str]) -> Codec | None:
    size = int(parts["size"])
    return Budget(parts[0], size) if size >= LEAST_BUDGET else None


def _fraction(parts: re.Match[str]) -> Fraction | None:
    fraction = Fraction(parts["fraction"])
    return fraction if 0 < fraction <= 1 else None


_KINDS: list[tuple[str, Callable[[re.Match[str]], Codec | None]]] = [
    (rf"topk:{_FRACTION}/{_VALUES}", _topk),
    (rf"mask:{_FRACTION}/eden:(?P<bits>[1-4])", _mask),
    (r"eden:(?P<bits>[1-4])", lambda parts: Eden(parts[0], int(parts["bits"]))),
    (r"budget:(?P<size>[0-9]{1,10})", _budget),
    (r"int8", lambda _: DenseInt8()),
    (r"none", lambda _: DenseFloat32()),
]
