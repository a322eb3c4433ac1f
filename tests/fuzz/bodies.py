"""A well-formed payload of every scheme, including those that no codec writes yet."""

import numpy as np

from fedge import _kernels
from fedge.codecs import Scheme, Stamp
from fedge.codecs.payload import seal
from fedge.codecs.scheme import BLOCK, rotated_size
from tests.golden.payloads import delta

_SEED = 0x5EED5EED
_SCALE = 0x3C00  # 2**-7 as bf16


def make_payload(scheme: Scheme, n_params: int, stamp: Stamp) -> bytes:
    """The payload of a fixed delta, made without an rng; sparse ones keep every eleventh value."""
    n_kept = -(-n_params // 11) if scheme.is_sparse else n_params
    body = _rotated(scheme, n_kept) if scheme.is_rotated else _plain(scheme, n_params, n_kept)
    return seal(scheme, stamp, n_params=n_params, n_kept=n_kept, body=body, seed=_SEED)


def _rotated(scheme: Scheme, n_kept: int) -> bytes:
    body = np.empty(rotated_size(n_kept, scheme.bits), np.uint8)
    assert _kernels.quantise_rotated(delta(n_kept), _SEED, scheme.bits, body)
    return body.tobytes()


def _plain(scheme: Scheme, n_params: int, n_kept: int) -> bytes:
    if scheme is Scheme.DENSE_FLOAT32:
        return delta(n_params).tobytes()
    if scheme is Scheme.DENSE_INT8:
        body = np.empty(n_params + 2 * -(-n_params // BLOCK), np.uint8)
        assert _kernels.quantise_dense(delta(n_params), _SEED, body)
        return body.tobytes()
    return _sparse(scheme, n_params, n_kept)


def _sparse(scheme: Scheme, n_params: int, n_kept: int) -> bytes:
    """Gaps and levels vary, so that no bit stream is empty."""
    numbers = np.arange(n_kept)
    indices = (11 * numbers + numbers * numbers % 7).astype(np.uint32)
    indices = np.minimum(indices, n_params - 1 - numbers[::-1]).astype(np.uint32)
    signs, levels = 1 - 2 * (numbers % 3 == 0), 1 + numbers * numbers % 7
    codes = (signs if scheme.bits == 1 else signs * levels).astype(np.int8).view(np.uint8)
    if scheme.bits == 32:
        codes = delta(n_kept).view(np.uint8)
    scales = np.full(-(-n_kept // BLOCK), _SCALE, np.uint16)
    out = np.empty(8 * n_kept + 1024, np.uint8)
    if scheme.is_contextual:
        size = _kernels.pack_context(indices, codes, scales, scheme.bits, n_params, out)
    else:
        size = _kernels.pack(indices, codes, scales, scheme.bits, out)
    return out[:size].tobytes()
