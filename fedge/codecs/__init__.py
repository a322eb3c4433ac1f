"""Update codecs: a delta in, bytes out, and back."""

from fedge.codecs.budget import fit_budget
from fedge.codecs.codec import Codec
from fedge.codecs.decoded import Dense, Sparse
from fedge.codecs.decoding import accumulate, decode, decode_body, restore
from fedge.codecs.payload import PayloadHeader, Stamp, read_header
from fedge.codecs.ranges import decode_range
from fedge.codecs.scheme import Scheme
from fedge.codecs.spec import SPECS, get, within

__all__ = [
    "SPECS",
    "Codec",
    "Dense",
    "PayloadHeader",
    "Scheme",
    "Sparse",
    "Stamp",
    "accumulate",
    "decode",
    "decode_body",
    "decode_range",
    "fit_budget",
    "get",
    "read_header",
    "restore",
    "within",
]
