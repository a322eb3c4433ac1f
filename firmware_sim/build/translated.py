"""The C that Cython generates from the kernels, and which functions in it can be called.

A kernel has two functions there: one parses the Python arguments; the other, `__pyx_pf_...`, takes
numbers and views of arrays, and is the one to call. Everything else is also read from the C, by
the names that Cython assigns; a test fails if a new Cython assigns different ones.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache as once
from importlib.metadata import version
from pathlib import Path

from firmware_sim.errors import EmulationError
from firmware_sim.stock import cache, programs

ROOT = Path(__file__).parents[2]  # the checkout
KERNELS = ROOT / "fedge" / "_kernels"

_DEF = re.compile(r"^def (\w+)\(", re.MULTILINE)
_KERNEL = r"^static PyObject \*(__pyx_pf_{module}_\d*([A-Za-z]\w*))\((.*)\); /\* proto \*/$"
_PARAMETER = re.compile(r"^(.*?)\s*(?:__pyx_v_)?(\w+)$")
_POINTER = re.compile(r"^static .*\(\*(__pyx_f_\w+)\)\(.*\); ?/\*proto\*/$", re.MULTILINE)
_NUMBER = re.compile(r"^#define __pyx_int_(neg_)?(\d+) __pyx_number_tab\[(\d+)\]$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """A kernel in a library.

    Attributes:
        symbol: its function.
        parameters: (C type, name) of each, without Python's self.
    """

    symbol: str
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Module:
    """A module of kernels as C.

    Attributes:
        name: such as topk.
        c_file: what Cython made.
        key: stands for what it was made of.
        entries: its kernels by name.
        numbers: integers that it creates once, when Python imports it, by their index in a
            table.
        wants: functions of other modules, which Python's import would resolve.
    """

    name: str
    c_file: Path
    key: str
    entries: Mapping[str, Entry]
    numbers: Mapping[int, int]
    wants: tuple[str, ...]


def module_of(kernel: str) -> Module:
    """The module with this kernel.

    Raises:
        EmulationError: if there is none, or Cython's names have changed.
    """
    for source in sources("pyx"):
        if kernel in _DEF.findall(source.read_text()):
            module = translated(source.stem)
            if kernel in module.entries:
                return module
            raise EmulationError(
                f"{cython()} made no function of {kernel} that can be called: its names have"
                f" changed, see {Path(__file__).name}"
            )
    raise EmulationError(f"no module in {KERNELS} defines a kernel {kernel}")


def with_wanted(module: Module) -> list[Module]:
    """The module and those whose functions it calls, and so on."""
    found, new = [module], [module]
    while new:
        names = {owner(symbol) for each in new for symbol in each.wants}
        new = [translated(name) for name in sorted(names - {each.name for each in found})]
        found += new
    return found


def translated(name: str) -> Module:
    """A module by name; translated on first use."""
    return _translated(name, cache.key(_digests(), cython(), name))


def cython() -> str:
    """What translates the kernels to C."""
    return f"Cython {version('cython')}"


def sources(end: str) -> list[Path]:
    """The kernels' files with this ending."""
    return sorted(KERNELS.glob(f"*.{end}"))


@once
def _translated(name: str, key: str) -> Module:
    folder = cache.made("kernels/c", key, lambda to: _translate(name, to))
    c_file = folder / f"{name}.c"
    text = c_file.read_text()
    kernels = re.findall(_KERNEL.format(module=_mangled(name)), text, re.MULTILINE)
    return Module(
        name=name,
        c_file=c_file,
        key=key,
        entries={kernel: Entry(symbol, _parameters(words)) for symbol, kernel, words in kernels},
        numbers={
            int(place): -int(digits) if minus else int(digits)
            for minus, digits, place in _NUMBER.findall(text)
        },
        wants=tuple(_POINTER.findall(text)),
    )


def _digests() -> list[tuple[str, str]]:
    """The digests of all headers, any of which a module may include."""
    files = [path for end in ("pyx", "pxd", "h") for path in sources(end)]
    return [(path.name, cache.key(path.read_text())) for path in files]


def _translate(name: str, folder: Path) -> None:
    """Translate a module the way setup.py does."""
    words = ["--3str", "--module-name", f"fedge._kernels.{name}", "-w", str(ROOT)]
    files: list[str | Path] = ["-o", folder / f"{name}.c", KERNELS / f"{name}.pyx"]
    programs.run([sys.executable, "-m", "cython", *words, *files])


def _mangled(name: str) -> str:
    return "_".join(f"{len(part)}{part}" for part in ("fedge", "_kernels", name))


def owner(symbol: str) -> str:
    """The module that a function of the kernels is in."""
    for source in sources("pyx"):
        if symbol.startswith(f"__pyx_f_{_mangled(source.stem)}_"):
            return source.stem
    raise EmulationError(f"no module of kernels has the function {symbol}")


def _parameters(words: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for word in words.split(",")[1:]:  # not self
        match = _PARAMETER.match(word.strip())
        if match is None:
            raise EmulationError(f"cannot read the parameter {word!r} of a kernel")
        pairs.append((match[1], match[2]))
    return tuple(pairs)
