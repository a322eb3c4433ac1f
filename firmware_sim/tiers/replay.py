"""A recorded kernel call, replayed on a processor that counts. Needs unicorn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedge.bench.kernels.calls import Call
from fedge.types import Array
from firmware_sim.build import freestanding
from firmware_sim.build.freestanding import Library
from firmware_sim.build.processors import Processor
from firmware_sim.errors import EmulationError
from firmware_sim.tiers.aapcs import Argument, View, frame
from firmware_sim.tiers.core import DATA, Core, Outcome
from firmware_sim.tiers.image import Image, image

_WHOLE = {"int", "Py_ssize_t", "uint32_t", "int32_t", "uint16_t", "uint8_t", "size_t", "bint"}
_ALIGNMENT = 64  # of arrays: one cache line


@dataclass(frozen=True, slots=True)
class Count:
    """A call of a kernel, counted.

    Attributes:
        instructions: how many it took.
        differences: arrays, or "result", that differ in any bit from what this machine's kernel
            produced.
        trapped: uncounted calls to outside functions.
    """

    instructions: int
    differences: tuple[str, ...]
    trapped: Mapping[str, int]


def replay(call: Call, processor: Processor) -> Count:
    """Replays a recorded call on another processor.

    Raises:
        EmulationError: if the kernel cannot be compiled, called, or faults.
    """
    library = freestanding.library(call.kernel, processor)
    loaded = image(library.path, only_thumb=processor.is_microcontroller)
    memory = _Memory(_n_dimensions(loaded), loaded.word)
    given = {name: _array(value, memory, name) for name, value in call.before.items()}
    core = Core(loaded, processor, memory.content())
    _make_numbers(core, library, loaded)
    arguments = [
        _argument(kind, given[name], core, name) for kind, name in library.kernel.parameters
    ]
    outcome = core.call(library.kernel.symbol, frame([0, *arguments], processor))  # 0: no self
    return Count(outcome.instructions, _differences(call, outcome, memory), outcome.trapped)


def _differences(call: Call, outcome: Outcome, memory: "_Memory") -> tuple[str, ...]:
    different = [
        name
        for name, array in call.after.items()
        if memory.found(name, outcome.memory) != array.tobytes()
    ]
    # Cython returns a boolean as bool or as int, depending on how it is returned.
    return (*different, *(["result"] if outcome.result != call.result else []))


def _array(value: Any, memory: "_Memory", name: str) -> Any:
    return memory.view(name, value) if isinstance(value, np.ndarray) else value


def _argument(kind: str, value: Any, core: Core, name: str) -> Argument:
    if isinstance(value, View):
        return value
    if kind == "PyObject *":
        return core.objects.made(value)
    if kind == "float":
        return float(value)
    if kind not in _WHOLE:
        raise EmulationError(f"the harness cannot pass the {kind} {name}: see firmware_sim/tiers")
    return int(value)


def _make_numbers(core: Core, library: Library, loaded: Image) -> None:
    """Create the integers that importing the modules would create."""
    for module in library.modules:
        if module.numbers:
            table = loaded.read_word(loaded.symbols[f"fedge_numbers_{module.name}"])
            for place, number in module.numbers.items():
                core.write_word(table + place * loaded.word, core.objects.made(number))


def _n_dimensions(loaded: Image) -> int:
    """Dimensions in a view's layout: memview, data, then as many shape, strides and suboffsets."""
    size = loaded.read_word(loaded.symbols["fedge_size_of_a_view"]) & 0xFFFF
    return (size // loaded.word - 2) // 3


class _Memory:
    """The arrays of a call, one after another, and their views."""

    def __init__(self, n_dimensions: int, word: int) -> None:
        self._n_dimensions, self._word = n_dimensions, word
        self._content = bytearray()
        self._places: dict[str, tuple[int, int]] = {}

    def view(self, name: str, array: Array) -> View:
        data = np.ascontiguousarray(array)
        place = self._put(data.tobytes())
        self._places[name] = (place, data.nbytes)
        empty = [0] * (self._n_dimensions - data.ndim)
        direct = [-1 % (1 << 8 * self._word)] * self._n_dimensions
        words = [0, DATA + place, *data.shape, *empty, *data.strides, *empty, *direct]
        packed = b"".join(word.to_bytes(self._word, "little") for word in words)
        return View(words, DATA + self._put(packed))

    def found(self, name: str, memory: bytes) -> bytes:
        place, size = self._places[name]
        return memory[place : place + size]

    def content(self) -> bytes:
        return bytes(self._content)

    def _put(self, data: bytes) -> int:
        place = -(-len(self._content) // _ALIGNMENT) * _ALIGNMENT
        self._content.extend(bytes(place - len(self._content)))
        self._content.extend(data)
        return place
