"""A processor without a system that counts what it executes: Unicorn, a library and a stack.

Every instruction of the library counts, including ARM instructions that had no effect because their
condition was false, like in a processor's own counter. Calls that leave the library for Python or
the C library end in a trap: Python code answers them, uncounted.
"""

import math
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from unicorn import arm64_const, arm_const

from firmware_sim.build.processors import Processor
from firmware_sim.errors import EmulationError
from firmware_sim.tiers.aapcs import Frame
from firmware_sim.tiers.image import LIBRARY, LIBRARY_END, PAGE, SLOT, TRAPS, Image
from firmware_sim.tiers.objects import Objects

unicorn: Any = import_module("unicorn")  # its own type hints lack everything it exports

DATA = 0x2000_0000  # arrays
_OBJECTS, _OBJECTS_SIZE = 0x4000_0000, 0x0001_0000
_HEAP, _HEAP_SIZE = 0x5000_0000, 0x0100_0000
_STACK_TOP, _STACK_SIZE = 0x7000_0000, 0x0010_0000
_RETURN = {4: bytes.fromhex("1eff2fe1"), 8: bytes.fromhex("c0035fd6")}  # bx lr, ret
_THUMB_RETURN = bytes.fromhex("7047")
_LONG_THUMB = {0b11101, 0b11110, 0b11111}  # first five bits of an instruction of four bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a call.

    Attributes:
        instructions: executed in the library.
        result: the value of the Python object that it returned.
        memory: the content at DATA afterwards.
        trapped: calls that left the library, by name.
    """

    instructions: int
    result: object
    memory: bytes
    trapped: Mapping[str, int]


class Core:
    """A fresh processor with a library; good for one call.

    Args:
        loaded: the library.
        processor: what it was compiled for.
        memory: the content at DATA.
    """

    def __init__(self, loaded: Image, processor: Processor, memory: bytes) -> None:
        self._image, self._processor, self._size = loaded, processor, len(memory)
        self._registers = _REGISTERS[processor.word]
        self._traps = {address: name for name, address in loaded.traps.items()}
        self._blocks: Counter[tuple[int, int]] = Counter()
        self._trapped: Counter[str] = Counter()
        self._heap = _HEAP
        self._refusal: str | None = None
        self._uc = _unicorn(processor)
        self._map(memory)
        self.objects = Objects(self, loaded.traps, _OBJECTS, processor.word)
        self._uc.hook_add(unicorn.UC_HOOK_BLOCK, self._seen, begin=LIBRARY, end=LIBRARY_END)
        self._uc.hook_add(unicorn.UC_HOOK_CODE, self._trap, begin=TRAPS, end=LIBRARY - 1)

    def call(self, symbol: str, frame: Frame) -> Outcome:
        """Call a function that returns a Python object.

        Raises:
            EmulationError: if it faults, raises an exception, or calls something unavailable.
        """
        where = f"{symbol} on {self._processor.name}"
        if symbol not in self._image.symbols:
            raise EmulationError(f"the compiler kept no {symbol}")
        self._enter(frame)
        try:
            self._uc.emu_start(self._image.symbols[symbol], TRAPS)
        except unicorn.UcError as fault:
            at = self._uc.reg_read(self._registers.pc)
            raise EmulationError(f"{where}: {fault} at {at - LIBRARY:#x} of the library") from None
        if self._refusal:
            raise EmulationError(f"{where}: {self._refusal}")
        try:
            result = self.objects.value(self._uc.reg_read(self._registers.core))
        except LookupError:
            raise EmulationError(f"{where}: it returned no Python object") from None
        memory = bytes(self._uc.mem_read(DATA, self._size))
        return Outcome(self._instructions(), result, memory, dict(self._trapped))

    def argument(self, number: int) -> int:
        """A trapped call's integer argument, signed."""
        value = int(self._uc.reg_read(self._registers.core + number))
        bits = 8 * self._processor.word
        return value - (1 << bits) if value >> (bits - 1) else value

    def write_word(self, address: int, value: int) -> None:
        """Write a word of memory, such as a pointer."""
        self._uc.mem_write(address, value.to_bytes(self._processor.word, "little"))

    def _map(self, memory: bytes) -> None:
        traps_size = _whole_pages(SLOT * (len(self._traps) + 2))
        for place, size in (
            (TRAPS, traps_size),
            (LIBRARY, len(self._image.code)),
            (DATA, _whole_pages(len(memory) + 1)),
            (_OBJECTS, _OBJECTS_SIZE),
            (_HEAP, _HEAP_SIZE),
            (_STACK_TOP - _STACK_SIZE, _STACK_SIZE),
        ):
            self._uc.mem_map(place, size)
        self._uc.mem_write(LIBRARY, self._image.code)
        self._uc.mem_write(DATA, memory)
        is_thumb = self._processor.is_microcontroller
        way_back = _THUMB_RETURN if is_thumb else _RETURN[self._processor.word]
        for address in self._traps:
            self._uc.mem_write(address, way_back)

    def _enter(self, frame: Frame) -> None:
        word, registers = self._processor.word, self._registers
        stack = b"".join(value.to_bytes(word, "little") for value in frame.stack)
        top = (_STACK_TOP - len(stack)) // 64 * 64
        self._uc.mem_write(top, stack)
        self._uc.reg_write(registers.sp, top)
        self._uc.reg_write(registers.lr, TRAPS | self._processor.is_microcontroller)
        for number, value in enumerate(frame.core):
            self._uc.reg_write(registers.core + number, value)
        for number, value in enumerate(frame.floats):
            self._uc.reg_write(registers.floats + number, value)

    def _seen(self, _uc: object, address: int, size: int, _: object) -> None:
        self._blocks[address, size] += 1

    def _instructions(self) -> int:
        return sum(times * self._length(*block) for block, times in self._blocks.items())

    def _length(self, address: int, size: int) -> int:
        """Number of instructions in a block; only Thumb's are not all four bytes long."""
        if not self._image.is_thumb(address):
            return size // 4
        halves = struct.unpack_from(f"<{size // 2}H", self._image.code, address - LIBRARY)
        n, place = 0, 0
        while place < len(halves):
            place += 2 if halves[place] >> 11 in _LONG_THUMB else 1
            n += 1
        return n

    def _trap(self, _uc: object, address: int, _size: int, _: object) -> None:
        name = self._traps.get(address, "an unknown function")
        self._trapped[name] += 1
        try:
            answer = self._answer(name)
        except LookupError as error:
            answer, name = None, f"{name} with {error}"
        if answer is None:
            self._refusal = f"it called {name}, which no kernel does that succeeds"
            self._uc.emu_stop()
        elif name != "sqrt":
            self._uc.reg_write(self._registers.core, answer % (1 << 8 * self._processor.word))

    def _answer(self, name: str) -> int | None:
        if name == "malloc":
            return self._allocate(self.argument(0))
        if name == "free":
            return 0
        if name == "sqrt":
            return self._root()
        return self.objects.answer(name)

    def _allocate(self, size: int) -> int:
        address, self._heap = self._heap, self._heap + -(-size // 64) * 64
        return address if self._heap <= _HEAP + _HEAP_SIZE else 0

    def _root(self) -> int:
        """A square root in a float register, for processors without such an instruction."""
        bits = self._uc.reg_read(self._registers.double)
        (value,) = struct.unpack("<d", bits.to_bytes(8, "little"))
        root = struct.pack("<d", math.sqrt(value))
        self._uc.reg_write(self._registers.double, int.from_bytes(root, "little"))
        return 0


# Answered by this machine and so not counted; the rest of the C library is compiled.
UNCOUNTED: Sequence[str] = ("malloc", "free", "sqrt of doubles on a Cortex-M", "Python itself")


@dataclass(frozen=True, slots=True)
class _Registers:
    core: int
    floats: int
    double: int
    sp: int
    lr: int
    pc: int


_REGISTERS = {
    4: _Registers(
        core=arm_const.UC_ARM_REG_R0,
        floats=arm_const.UC_ARM_REG_S0,
        double=arm_const.UC_ARM_REG_D0,
        sp=arm_const.UC_ARM_REG_SP,
        lr=arm_const.UC_ARM_REG_LR,
        pc=arm_const.UC_ARM_REG_PC,
    ),
    8: _Registers(
        core=arm64_const.UC_ARM64_REG_X0,
        floats=arm64_const.UC_ARM64_REG_S0,
        double=arm64_const.UC_ARM64_REG_D0,
        sp=arm64_const.UC_ARM64_REG_SP,
        lr=arm64_const.UC_ARM64_REG_LR,
        pc=arm64_const.UC_ARM64_REG_PC,
    ),
}


def _unicorn(processor: Processor) -> Any:
    """A processor without memory."""
    if processor.word == 8:
        uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        uc.ctl_set_cpu_model(getattr(arm64_const, f"UC_CPU_ARM64_{processor.model}"))
        return uc
    mode = unicorn.UC_MODE_ARM
    if processor.is_microcontroller:
        mode = unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS
    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, mode)
    uc.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_ARM_{processor.model}"))
    if not processor.is_microcontroller:  # normally a system does this
        uc.reg_write(arm_const.UC_ARM_REG_C1_C0_2, 0xF << 20)  # enables floating point
        uc.reg_write(arm_const.UC_ARM_REG_FPEXC, 1 << 30)
    return uc


def _whole_pages(size: int) -> int:
    return -(-size // PAGE) * PAGE
