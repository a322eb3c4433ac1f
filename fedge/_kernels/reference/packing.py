"""NumPy twin of the kernel that writes sparse bodies."""

import numpy as np
import numpy.typing as npt

from fedge._kernels.reference.bits import BLOCK, MAX_PARAMS

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]


def pack(indices: U32, codes: U8, scales: U16, bits: int, out: U8) -> int:
    """Kept values to the body of a sparse payload; returns its length at the start of out."""
    k, n_blocks = len(indices), (len(indices) + BLOCK - 1) // BLOCK
    if bits not in {1, 4, 8, 32}:
        raise ValueError("bits must be 1, 4, 8 or 32")
    if len(codes) != (4 * k if bits == 32 else k):
        raise ValueError("codes must have one value for each index")
    if bits != 32 and len(scales) != n_blocks:
        raise ValueError("scales must have one entry for each 256 indices")
    if len(out) < 8 * k + 16 * n_blocks:
        raise ValueError("out must have 8 bytes for each index and 16 for each 256")
    gaps = indices.astype(np.int64)
    gaps[1:] -= gaps[:-1] + 1
    if k > 0 and (gaps.min() < 0 or indices[-1] >= MAX_PARAMS):
        raise ValueError("indices must increase strictly and be below 2**29")
    values = codes.reshape(k, 4 if bits == 32 else 1)
    body = b"".join(
        _block(gaps[s : s + BLOCK], values[s : s + BLOCK], scales[b : b + 1].tobytes(), bits)
        for b, s in enumerate(range(0, k, BLOCK))
    )
    out[: len(body)] = np.frombuffer(body, np.uint8)
    return len(body)


def _block(gaps: I64, values: U8, scale: bytes, bits: int) -> bytes:
    """One block of at most 256 kept values, as the layout in fedge/codecs/payload.py has it."""
    gap_rice = _best_rice(gaps)
    gap_codes = _rice_codes(gaps, gap_rice)
    if bits == 32:
        return bytes([gap_rice]) + gap_codes + values.tobytes()
    levels = values.view(np.int8)[:, 0].astype(np.int64)
    signs = _bit_bytes(levels < 0)
    if bits == 1:
        return scale + bytes([gap_rice]) + gap_codes + signs
    smallest = np.abs(levels).min()
    above = np.abs(levels) - smallest
    rice = _best_rice(above)
    head = scale + bytes([gap_rice | rice << 5, smallest])
    return head + gap_codes + signs + _rice_codes(above, rice)


def _best_rice(numbers: I64) -> int:
    """The smallest parameter with the shortest code."""
    return min(range(30), key=lambda rice: int(np.sum((numbers >> rice) + rice + 1)))


def _rice_codes(numbers: I64, rice: int) -> bytes:
    """The low bits of all numbers, then their rests in unary, as distances between set bits."""
    ends = np.cumsum((numbers >> rice) + 1) - 1
    unary = np.zeros(ends[-1] + 1, np.bool_)
    unary[ends] = True
    return _bit_bytes(numbers[:, None] >> np.arange(rice) & 1) + _bit_bytes(unary)


def _bit_bytes(bits: npt.NDArray[np.generic]) -> bytes:
    return np.packbits(bits.astype(np.bool_), bitorder="little").tobytes()
