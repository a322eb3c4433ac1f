"""How ARM passes arguments: the base procedure call standards of 32 and 64 bits.

Source: Arm, "Procedure Call Standard for the Arm Architecture" (AAPCS32, AAPCS64), parameter
passing, as far as kernels need it: integers of up to a word, floats, and views of arrays.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from firmware_sim.build.processors import Processor

_CORE = {4: 4, 8: 8}  # registers for integers, by word size
_FLOAT = {4: 16, 8: 8}  # and for floats, if calls use them


@dataclass(slots=True)
class Frame:
    """Where the arguments of a call are."""

    core: list[int] = field(default_factory=list)  # r0.. or x0..
    floats: list[int] = field(default_factory=list)  # the bits in s0..
    stack: list[int] = field(default_factory=list)  # words from the stack pointer upwards


@dataclass(frozen=True, slots=True)
class View:
    """A view of an array as Cython passes it: its words, and the address of a copy."""

    words: Sequence[int]
    address: int


Argument = int | float | View  # 1 is passed differently from 1.0


def frame(arguments: Sequence[Argument], processor: Processor) -> Frame:
    """The registers and the stack for a call.

    Args:
        arguments: integers are taken modulo a word; Python floats are passed as float32.
        processor: determines the calling convention.
    """
    made = Frame()
    for argument in arguments:
        if isinstance(argument, float) and processor.floats:
            _put(made.floats, made.stack, _bits(argument), _FLOAT[processor.word])
            continue
        for word in _words(argument, processor):
            _put(made.core, made.stack, word, _CORE[processor.word])
    return made


def _words(argument: Argument, processor: Processor) -> Sequence[int]:
    if isinstance(argument, View):
        # AAPCS64 passes the address of a copy; AAPCS32 the words, in registers and on the stack.
        return [argument.address] if processor.word == 8 else argument.words
    if isinstance(argument, float):
        return [_bits(argument)]
    return [argument % (1 << 8 * processor.word)]


def _put(registers: list[int], stack: list[int], word: int, n_registers: int) -> None:
    (registers if len(registers) < n_registers else stack).append(word)


def _bits(value: float) -> int:
    bits: int
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    return bits
