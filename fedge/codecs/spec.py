"""Codecs by name."""

import re
from collections.abc import Callable
from fractions import Fraction

from fedge.codecs.budget import LEAST_BUDGET, Budget
from fedge.codecs.codec import Codec
from fedge.codecs.coded import CodedTopK
from fedge.codecs.dense import DenseFloat32, DenseInt8
from fedge.codecs.eden import Eden
from fedge.codecs.relaxation import MOST_GAIN, PLAIN, Relaxation, relaxation
from fedge.codecs.scheme import Scheme
from fedge.codecs.sparse import TopK
from fedge.errors import ConfigError

# Every kind, for people: F and B are numbers, what is in brackets may be left out.
SPECS = (
    "topk:F/sign[+relax:G][+ctx]",
    "topk:F/int4[+stochastic][+relax:G][+ctx]",
    "topk:F/int8[+stochastic][+relax:G][+ctx]",
    "topk:F/float32[+relax:G][+ctx]",
    "eden:B",
    "mask:F/eden:B",
    "budget:BYTES[+relax:G]",
    "int8",
    "none",
)

_FRACTION = r"(?P<fraction>[0-9]{0,3}\.?[0-9]{1,12}(e-[0-9])?)"
_VALUES = r"(?P<values>sign|int4|int8|float32)(?P<stochastic>\+stochastic)?"
_RELAXED = r"(\+relax:(?P<gain>1(\.[0-9]{1,3})?))?"
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
    context coder where that is shorter. budget:BYTES sends as much as fits. +relax:G after any of
    these sends ahead, 1 <= G <= 1.95: see `fedge.codecs.relaxation`. Without error feedback,
    eden:B sends all values in B = 1 to 4 bits each, mask:F/eden:B does so with a random fraction of
    them, and int8 and none (float32) send all.

    Raises:
        ConfigError: if there is no such codec.
    """
    codec = _find(spec)
    if codec is None:
        raise ConfigError(f"unknown codec {spec!r}: {_advice(spec)}")
    return codec


def within(budget_bytes: int, spec: str) -> str:
    """The spec of what fits a budget, as far ahead as another spec sends."""
    relaxed = re.search(r"\+relax:[0-9.]+", spec)
    return f"budget:{budget_bytes}{relaxed[0] if relaxed else ''}"


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
        "int8 with or without +stochastic, each with or without +relax:G with 1 <= G <= "
        f"{MOST_GAIN}, and with or without +ctx; or eden:B with B from 1 to 4, mask:F/eden:B, "
        f"budget:BYTES with at least {LEAST_BUDGET} and perhaps +relax:G, int8, or none"
    )


def _topk(parts: re.Match[str]) -> Codec | None:
    fraction, is_stochastic = _fraction(parts), parts["stochastic"] is not None
    if fraction is None or (is_stochastic and parts["values"] not in {"int4", "int8"}):
        return None
    relaxed, is_coded = _relaxation(parts), parts["coder"] is not None
    if relaxed is None:
        return None
    scheme = _SPARSE[parts["values"]]
    if relaxed == PLAIN and not is_coded:
        return TopK(parts[0], fraction, scheme, is_stochastic)
    return CodedTopK(parts[0], fraction, scheme, is_stochastic, relaxed, is_coded)


def _mask(parts: re.Match[str]) -> Codec | None:
    fraction = _fraction(parts)
    return None if fraction is None else Eden(parts[0], int(parts["bits"]), fraction)


def _budget(parts: re.Match[str]) -> Codec | None:
    size, relaxed = int(parts["size"]), _relaxation(parts)
    if size < LEAST_BUDGET or relaxed is None:
        return None
    return Budget(parts[0], size, relaxed)


def _relaxation(parts: re.Match[str]) -> Relaxation | None:
    gain = float(parts["gain"] or 1)
    return relaxation(gain) if gain <= MOST_GAIN else None


def _fraction(parts: re.Match[str]) -> Fraction | None:
    fraction = Fraction(parts["fraction"])
    return fraction if 0 < fraction <= 1 else None


_KINDS: list[tuple[str, Callable[[re.Match[str]], Codec | None]]] = [
    (rf"topk:{_FRACTION}/{_VALUES}{_RELAXED}(?P<coder>\+ctx)?", _topk),
    (rf"mask:{_FRACTION}/eden:(?P<bits>[1-4])", _mask),
    (r"eden:(?P<bits>[1-4])", lambda parts: Eden(parts[0], int(parts["bits"]))),
    (rf"budget:(?P<size>[0-9]{{1,10}}){_RELAXED}", _budget),
    (r"int8", lambda _: DenseInt8()),
    (r"none", lambda _: DenseFloat32()),
]
