"""A library loaded at its place: its bytes with every address filled in, and its symbols."""

import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from firmware_sim.errors import EmulationError

PAGE = 0x1000
TRAPS, SLOT = 0x0F00_0000, 64
LIBRARY, LIBRARY_END = 0x1000_0000, 0x1FFF_FFFF
# Relocations that take the address of a symbol, with and without what is there already, and those
# that take the library's own, of AArch64 and of ARM.
_ABSOLUTE, _DATA, _JUMPS, _RELATIVE = {257, 2}, {1025, 21}, {1026, 22}, {1027, 23}
_MARKS = {"$a": False, "$t": True}  # by which a linker says what is ARM's and what is Thumb


@dataclass(frozen=True, slots=True)
class Image:
    """What lies where.

    Attributes:
        code: from LIBRARY on.
        symbols: addresses of functions and variables; Thumb functions are odd.
        traps: addresses of what the library does not define, by name, from TRAPS on.
        word: bytes of a pointer.
        marks: from where on instructions are Thumb's, or no longer.
    """

    code: bytes
    symbols: Mapping[str, int]
    traps: Mapping[str, int]
    word: int
    marks: Sequence[tuple[int, bool]] = ()

    def is_thumb(self, address: int) -> bool:
        """Whether the instruction there is one of Thumb."""
        before = bisect_right(self.marks, (address, True))
        return before > 0 and self.marks[before - 1][1]

    def read_word(self, address: int) -> int:
        """A word of the library, such as a pointer."""
        place = address - LIBRARY
        return int.from_bytes(self.code[place : place + self.word], "little")


@once
def image(path: Path, *, only_thumb: bool = False) -> Image:
    """Load a library; for a processor that knows Thumb only, jumps to traps are to odd addresses.

    A variable of the name of a function is a pointer that Python's import of another module would
    have set to it; so it is set.

    Raises:
        EmulationError: if the linker left what cannot be filled in.
    """
    with path.open("rb") as file:
        elf = ELFFile(file)
        word = elf.elfclass // 8
        code = _segments(elf)
        symbols: dict[str, int] = {}
        pointers: dict[str, int] = {}
        traps: dict[str, int] = {}
        marks = []
        for name, place, kind in _symbols(elf):
            if name[:2] in _MARKS and place is not None:
                marks.append((LIBRARY + place, _MARKS[name[:2]]))
            elif place is None:
                traps.setdefault(name, TRAPS + SLOT * (1 + len(traps)))
            elif kind == "STT_OBJECT" and name.startswith("__pyx_f_"):
                pointers[name] = place
            else:
                symbols[name] = LIBRARY + place
        form = "<Q" if word == 8 else "<I"
        for place, value in _relocated(elf, code, form, {**traps, **symbols}, int(only_thumb)):
            struct.pack_into(form, code, place, value)
        for name, place in pointers.items():
            struct.pack_into(form, code, place, symbols[name])
    return Image(bytes(code), symbols, traps, word, sorted(marks))


def _segments(elf: Any) -> bytearray:
    loaded = [each for each in elf.iter_segments() if each["p_type"] == "PT_LOAD"]
    end = max(each["p_vaddr"] + each["p_memsz"] for each in loaded)
    code = bytearray(-(-end // PAGE) * PAGE)
    for segment in loaded:
        code[segment["p_vaddr"] : segment["p_vaddr"] + segment["p_filesz"]] = segment.data()
    return code


def _symbols(elf: Any) -> Iterator[tuple[str, int | None, str]]:
    """Name, place (None: elsewhere) and kind."""
    for symbol in elf.get_section_by_name(".symtab").iter_symbols():
        if symbol.name:
            is_here = symbol["st_shndx"] != "SHN_UNDEF"
            yield symbol.name, symbol["st_value"] if is_here else None, symbol["st_info"]["type"]


def _relocated(
    elf: Any, code: bytearray, form: str, symbols: Mapping[str, int], thumb: int
) -> Iterator[tuple[int, int]]:
    """Places and what belongs there."""
    names = elf.get_section_by_name(".dynsym")
    for section in elf.iter_sections():
        if section["sh_type"] not in {"SHT_REL", "SHT_RELA"}:
            continue
        for entry in section.iter_relocations():
            place, kind = entry["r_offset"], entry["r_info_type"]
            there = struct.unpack_from(form, code, place)[0]
            added = entry["r_addend"] if section.is_RELA() else there
            name = names.get_symbol(entry["r_info_sym"]).name
            if kind in _RELATIVE:
                yield place, LIBRARY + added
            elif kind in _DATA:
                yield place, symbols[name]
            elif kind in _JUMPS:
                yield place, symbols[name] | thumb
            elif kind in _ABSOLUTE:
                yield place, symbols[name] + added
            else:
                raise EmulationError(f"the linker left a relocation of kind {kind} to {name}")
