"""A library loaded at its address: its bytes with relocations applied, and its symbols."""

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
# Relocations that use a symbol's address, with and without the value already there, and those that
# use the library's own address, for AArch64 and ARM.
_ABSOLUTE, _DATA, _JUMPS, _RELATIVE = {257, 2}, {1025, 21}, {1026, 22}, {1027, 23}
_MARKS = {"$a": False, "$t": True}  # a linker's marks for ARM and Thumb code


@dataclass(frozen=True, slots=True)
class Image:
    """What is at which address.

    Attributes:
        code: starting at LIBRARY.
        symbols: addresses of functions and variables; those of Thumb functions are odd.
        traps: by name, addresses of what the library does not define, starting at TRAPS.
        word: bytes in a pointer.
        marks: addresses where Thumb code starts or ends.
    """

    code: bytes
    symbols: Mapping[str, int]
    traps: Mapping[str, int]
    word: int
    marks: Sequence[tuple[int, bool]] = ()

    def is_thumb(self, address: int) -> bool:
        """Whether the instruction there is a Thumb one."""
        before = bisect_right(self.marks, (address, True))
        return before > 0 and self.marks[before - 1][1]

    def read_word(self, address: int) -> int:
        """A word of the library, such as a pointer."""
        place = address - LIBRARY
        return int.from_bytes(self.code[place : place + self.word], "little")


@once
def image(path: Path, *, only_thumb: bool = False) -> Image:
    """Load a library; for a Thumb-only processor, trap addresses are odd.

    A variable named after a function is a pointer that Python's import of another module would set
    to that function; so it is set here.

    Raises:
        EmulationError: if the linker left a relocation that cannot be applied.
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
    """Name, address (None if defined elsewhere) and kind."""
    for symbol in elf.get_section_by_name(".symtab").iter_symbols():
        if symbol.name:
            is_here = symbol["st_shndx"] != "SHN_UNDEF"
            yield symbol.name, symbol["st_value"] if is_here else None, symbol["st_info"]["type"]


def _relocated(
    elf: Any, code: bytearray, form: str, symbols: Mapping[str, int], thumb: int
) -> Iterator[tuple[int, int]]:
    """Addresses and the values that belong there."""
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
