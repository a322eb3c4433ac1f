"""What a payload can hold, and how many bytes that takes."""

from enum import IntEnum
from functools import lru_cache

BLOCK = 256  # values that share a scale
ROTATED = 4096  # values that are rotated together
_FLOAT32 = (4, 5)  # kinds of values


class Scheme(IntEnum):
    """What the body holds; the number is the payload's second byte."""

    DENSE_INT8 = 0xC0
    SPARSE_INT8 = 0xD1
    SPARSE_SIGN = 0x12
    SPARSE_FLOAT32 = 0x14
    DENSE_FLOAT32 = 0x05
    SPARSE_INT4 = 0x91
    SPARSE_INT8_CONTEXT = 0xE1
    SPARSE_INT4_CONTEXT = 0xA1
    SPARSE_SIGN_CONTEXT = 0x22
    SPARSE_FLOAT32_CONTEXT = 0x24
    ROTATED_1 = 0x03
    ROTATED_2 = 0x43
    ROTATED_3 = 0x83
    ROTATED_4 = 0xC3
    MASKED_1 = 0x33
    MASKED_2 = 0x73
    MASKED_3 = 0xB3
    MASKED_4 = 0xF3

    @property
    def is_sparse(self) -> bool:
        """Whether only some values are sent, so that their places are coded too."""
        return self & 0x30 != 0

    @property
    def is_contextual(self) -> bool:
        """Whether the context coder has coded places and values, and not the Rice coder."""
        return self & 0x30 == 0x20

    @property
    def is_rotated(self) -> bool:
        """Whether the values are rotated before they are rounded, as EDEN does."""
        return self & 0x0F == 3

    @property
    def bits(self) -> int:
        """Bits of a value before entropy coding."""
        if self.is_rotated:
            return (self >> 6) + 1
        return 32 if self & 0x0F in _FLOAT32 else 1 << (self >> 6)


@lru_cache(maxsize=64)  # the updates of a round mostly keep as many values as each other
def body_sizes(scheme: Scheme, n_kept: int) -> tuple[int, int]:
    """The least and the most bytes that a body of so many kept values has."""
    if scheme is Scheme.DENSE_FLOAT32:
        least = most = 4 * n_kept
    elif scheme is Scheme.DENSE_INT8:
        least = most = n_kept + 2 * -(-n_kept // BLOCK)
    elif scheme.is_rotated:
        least = most = rotated_size(n_kept, scheme.bits)
    else:
        least, most = least_sparse_size(scheme, n_kept), most_sparse_size(n_kept)
    return least, most


def rotated_size(n_kept: int, bits: int) -> int:
    """Bytes of a rotated body: a scale for each 4096 values, and bits for each value."""
    n_blocks = (n_kept + ROTATED // 2) // ROTATED if n_kept >= ROTATED else min(n_kept, 1)
    return 4 * n_blocks + -(-n_kept * bits // 8)


def least_sparse_size(scheme: Scheme, n_kept: int) -> int:
    """Bytes that a body of so many kept values cannot fall short of.

    The Rice coder spends a bit on a gap and one on a sign, and one on a level. The context
    coder could spend less than a bit on a value; an encoder must not use it then.
    """
    if scheme.is_contextual:
        return 4 * n_kept if scheme.bits == 32 else n_kept // 8
    return n_kept * {1: 2, 4: 3, 8: 3, 32: 33}[scheme.bits] // 8


def most_sparse_size(n_kept: int) -> int:
    """Bytes that a body of so many kept values cannot exceed, and the room that its writer needs.

    A gap takes at most 31 bits, a value 32; the head of a block and the ends of its streams are
    within 16 bytes.
    """
    return 8 * n_kept + 16 * -(-n_kept // BLOCK)
