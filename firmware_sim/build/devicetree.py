"""A board's device tree, and how to remove a node from it."""

import struct

from firmware_sim.errors import EmulationError

# Tokens of the Devicetree Specification 0.4, section 5.4.
_NOP = 4
_WORD = struct.Struct(">I")
_OFFSET_AT = 8  # where the header has the structure block's offset


def without_node(tree: bytes, name: str) -> bytes:
    """The tree without its first node of this name and everything in it; its size is unchanged.

    Raises:
        EmulationError: if there is no such node, or the bytes are not a device tree.
    """
    out = bytearray(tree)
    try:
        start, end = _find(out, name.encode())
    except (struct.error, ValueError, IndexError):
        raise EmulationError(f"the device tree has no node {name}") from None
    out[start:end] = _WORD.pack(_NOP) * ((end - start) // 4)
    return bytes(out)


def _find(tree: bytearray, name: bytes) -> tuple[int, int]:
    """Where the node starts, and where it ends."""
    (at,) = _WORD.unpack_from(tree, _OFFSET_AT)
    start, depth = -1, 0
    while True:
        (token,) = _WORD.unpack_from(tree, at)
        after = at + 4
        match token:
            case 1:  # _BEGIN: a name follows
                stop = tree.index(b"\0", after)
                depth += start >= 0
                if start < 0 and tree[after:stop].split(b"@")[0] == name:
                    start, depth = at, 1
                after = stop + 1
            case 2:  # _END
                depth -= start >= 0
            case 3:  # _PROPERTY: its size, where its name is, its value
                after += 8 + _WORD.unpack_from(tree, after)[0]
            case 4:  # _NOP
                pass
            case _:
                raise ValueError("the tree has ended, or is not one")
        after += -after % 4
        if start >= 0 and depth == 0:
            return start, after
        at = after
