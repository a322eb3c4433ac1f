"""Payloads that no encoder writes: what a hostile device can send all the same."""

import numpy as np

from fedge.codecs import Stamp
from fedge.codecs.payload import seal
from fedge.codecs.scheme import Scheme


def constant_payload(value: float, n_params: int, stamp: Stamp) -> bytes:
    """A well-formed float32 payload with the same value for every parameter, NaN or infinity too.

    Encoders refuse such deltas. The aggregator reads any codec's payload, so this one comes through
    whatever the devices were asked to use, up to the check of its values.
    """
    body = np.full(n_params, value, "<f4").tobytes()
    return seal(Scheme.DENSE_FLOAT32, stamp, n_params=n_params, n_kept=n_params, body=body)
