"""What the headers of one shared object say."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from elftools.elf.elffile import ELFFile

Floats = Literal["hard", "soft", "-"]  # how calls pass floats on 32-bit ARM

_HARD, _SOFT = 0x400, 0x200  # in the flags of an ARM file
_TEXT_RELOCATIONS = 0x4  # in the flags of a dynamic section
_GLIBC = re.compile(r"^GLIBC_(\d+(?:\.\d+)*)$")


@dataclass(frozen=True, slots=True)
class SharedObject:
    """The part of a file's headers that decides where it can be loaded.

    Attributes:
        machine: ELF's name for it.
        floats: how its functions receive floats.
        architecture: the 32-bit ARM architecture it needs, by the ABI's number; 0 elsewhere.
        libraries: those it is linked with.
        glibc: the newest C library version that any function is needed from.
        wants: symbols it requires without a version, so not the C library's.
        has_text_relocations: whether loading it changes its code, which hardened systems forbid.
    """

    machine: str
    floats: Floats
    architecture: int
    libraries: tuple[str, ...]
    glibc: tuple[int, ...]
    wants: tuple[str, ...]
    has_text_relocations: bool

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the headers of a file."""
        with path.open("rb") as file:
            elf: Any = ELFFile(file)
            tags = list(elf.get_section_by_name(".dynamic").iter_tags())
            return cls(
                machine=elf["e_machine"],
                floats=_floats(elf),
                architecture=_architecture(elf),
                libraries=tuple(tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"),
                glibc=_glibc(elf),
                wants=_wants(elf),
                has_text_relocations=any(_says_text_relocations(tag) for tag in tags),
            )


def _floats(elf: Any) -> Floats:
    if elf["e_machine"] != "EM_ARM":
        return "-"
    return "hard" if elf["e_flags"] & _HARD else "soft"


def _architecture(elf: Any) -> int:
    section = elf.get_section_by_name(".ARM.attributes")
    if section is None:
        return 0
    return max(
        int(attribute.value)
        for sub in section.iter_subsections()
        for part in sub.iter_subsubsections()
        for attribute in part.iter_attributes("TAG_CPU_ARCH")
    )


def _glibc(elf: Any) -> tuple[int, ...]:
    section = elf.get_section_by_name(".gnu.version_r")
    names = [need.name for _, needs in section.iter_versions() for need in needs] if section else []
    versions = [match[1] for name in names if (match := _GLIBC.match(name))]
    return max((tuple(map(int, version.split("."))) for version in versions), default=(0,))


def _wants(elf: Any) -> tuple[str, ...]:
    versions = elf.get_section_by_name(".gnu.version")
    symbols = list(elf.get_section_by_name(".dynsym").iter_symbols())
    return tuple(
        symbol.name
        for number, symbol in enumerate(symbols)
        if symbol["st_shndx"] == "SHN_UNDEF"
        and symbol["st_info"]["bind"] == "STB_GLOBAL"  # a weak symbol may be absent
        # A number is the index of a version that a library provides.
        and (versions is None or isinstance(versions.get_symbol(number)["ndx"], str))
    )


def _says_text_relocations(tag: Any) -> bool:
    entry = tag.entry
    flagged = entry.d_tag == "DT_FLAGS" and entry.d_val & _TEXT_RELOCATIONS
    return bool(flagged) or entry.d_tag == "DT_TEXTREL"
