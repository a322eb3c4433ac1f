"""Codecs by name."""

import re
from fractions import Fraction

from fedge.codecs.codec import Codec
from fedge.codecs.dense import DenseFloat32, DenseInt8
from fedge.codecs.payload import Scheme
from fedge.codecs.sparse import TopK
from fedge.errors import ConfigError

DEFAULT_SPEC = "topk:0.01/sign"

_TOPK = re.compile(r"topk:(?P<fraction>[0-9]{0,3}\.?[0-9]{1,12}(e-[0-9])?)/(?P<values>[a-z0-9]+)")
_SPARSE = {
    "sign": Scheme.SPARSE_SIGN,
    "int8": Scheme.SPARSE_INT8,
    "float32": Scheme.SPARSE_FLOAT32,
}


def get(spec: str) -> Codec:
    """The codec that spec names.

    topk:F/sign (the default with F = 0.01), topk:F/int8 and topk:F/float32 send the fraction F of
    all values, 0 < F <= 1, with error feedback; int8 and none (float32) send all.

    Raises:
        ConfigError: if there is no such codec.
    """
    if spec == "none":
        return DenseFloat32()
    if spec == "int8":
        return DenseInt8()
    parts = _TOPK.fullmatch(spec)
    if parts and parts["values"] in _SPARSE and 0 < Fraction(parts["fraction"]) <= 1:
        return TopK(spec, Fraction(parts["fraction"]), _SPARSE[parts["values"]])
    raise ConfigError(
        f"unknown codec {spec!r}: use topk:F/sign, topk:F/int8 or topk:F/float32 with "
        "0 < F <= 1, or int8, or none"
    )
