"""The kernels' modules as libraries that need no system, no Python and no C library.

The C is Cython's, compiled like the wheel's, with its calls into Python left open. Only a few lines
at its end are added: they keep the body of a kernel from being folded into the code that parses its
Python arguments, so that there is something to call.
"""

import sysconfig
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path

from firmware_sim.boards import SYSTEMS
from firmware_sim.build.processors import Processor
from firmware_sim.build.translated import (
    KERNELS,
    Entry,
    Module,
    cython,
    module_of,
    owner,
    with_wanted,
)
from firmware_sim.stock import cache, programs

_RECIPE = 7
_FLAGS = ("-O3", "-g0", "-ffp-contract=off", "-fPIC", "-DPy_LIMITED_API=0x030B0000")
# In the wheel a kernel's body shares its frame with the views of its arguments, and gcc folds into
# it what makes that frame at most so many times larger. Here the views are not in it: these bounds
# have gcc fold the same functions for every board, but for one in pack_context.
_BOUND = "--param=large-stack-frame-growth=10000"
_BOUNDS = {  # by module and size of a word
    ("context", 4): "--param=large-stack-frame=624",
    ("context", 8): "--param=large-stack-frame=624",
    ("robust", 4): "--param=large-stack-frame-growth=1000",  # gcc's own
}
_MEMORY = Path(__file__).parent / "memory.c"

# This machine's Python headers with the other machine's sizes.
_SIZES = {
    "LONG": "LONG", "SIZE_T": "SIZE_T", "VOID_P": "POINTER", "UINTPTR_T": "POINTER",
    "WCHAR_T": "WCHAR_T", "LONG_DOUBLE": "LONG_DOUBLE", "TIME_T": "POINTER", "PTHREAD_T": "LONG",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Library:
    """A kernel and all that it calls, compiled.

    Its symbols fedge_size_of_a_view and fedge_numbers_MODULE are a view's size in bytes, and where
    the table of a module's numbers is.
    """

    path: Path
    kernel: Entry
    modules: tuple[Module, ...]


def library(kernel: str, processor: Processor) -> Library:
    """The library of a kernel, compiled the first time.

    Raises:
        EmulationError: if no module defines it, or a compiler is missing or fails.
    """
    module = module_of(kernel)
    modules = tuple(with_wanted(module))
    parts = [(each.key, _bound(each, processor)) for each in modules]
    key = cache.key(parts, _settings(processor))
    folder = cache.made(
        f"kernels/{processor.triplet}", key, lambda to: _link(modules, processor, to)
    )
    return Library(folder / "kernels.so", module.entries[kernel], modules)


@once
def compiler(processor: Processor) -> str:
    """What the compiler calls itself: counts are comparable for the same one only."""
    return " ".join(programs.run([processor.compiler, "--version"]).splitlines()[0].split())


def translator() -> str:
    """What makes C of the kernels: another version may make other C."""
    return cython()


def has_headers() -> bool:
    """Whether this machine has Python's headers."""
    return (_headers() / "Python.h").exists()


def _headers() -> Path:
    return Path(sysconfig.get_path("include"))


def _settings(processor: Processor) -> list[object]:
    tools = [compiler(processor), str(_headers()), cache.key(_MEMORY.read_text())]
    return [_RECIPE, processor.flags, processor.helpers, *tools]


def _link(modules: tuple[Module, ...], processor: Processor, folder: Path) -> None:
    objects = [_object(each, modules, processor) for each in modules]
    helpers = programs.run([f"{processor.helpers}-gcc", "-print-libgcc-file-name"]).strip()
    memory = folder / "memory.o"
    # The last flag, or the compiler would see that memcpy is memcpy.
    alone = ["-ffreestanding", "-fno-tree-loop-distribute-patterns"]
    _gcc(processor, *_FLAGS, *alone, "-c", _MEMORY, "-o", memory)
    # Each module brings some of Cython's functions anew.
    lenient = ["-Wl,-z,muldefs"]
    if processor.word == 4:
        # Debian's helpers are for another architecture than some; what is used of them runs there.
        lenient.append("-Wl,--no-warn-mismatch")
    parts: list[str | Path] = [*objects, memory, helpers]
    _gcc(processor, "-shared", "-nostdlib", *lenient, *parts, "-o", folder / "kernels.so")


def _object(module: Module, modules: tuple[Module, ...], processor: Processor) -> Path:
    """A module compiled, once for all libraries that it is in."""
    wanted = [name for each in modules for name in each.wants if owner(name) == module.name]
    bound = _bound(module, processor)
    kept = sorted({*(entry.symbol for entry in module.entries.values()), *wanted})

    def make(folder: Path) -> None:
        source = folder / f"{module.name}_kept.c"
        source.write_text(_with_kept(module, kept))
        include = _includes(folder)
        _gcc(processor, *_FLAGS, bound, *include, "-c", source, "-o", folder / "module.o")

    key = cache.key(module.key, kept, bound, _settings(processor))
    return cache.made(f"kernels/{processor.triplet}", key, make) / "module.o"


def _bound(module: Module, processor: Processor) -> str:
    return _BOUNDS.get((module.name, processor.word), _BOUND)


def _gcc(processor: Processor, *words: str | Path) -> None:
    programs.run([processor.compiler, *processor.flags, *words])


def _with_kept(module: Module, kept: list[str]) -> str:
    """What is compiled: the module, what keeps its functions, what is to be known.

    A kernel's body must not be folded into its caller as well, or what it calls had two callers:
    gcc would no longer fold that into the body, as it does in the wheel.
    """
    kernels = {entry.symbol for entry in module.entries.values()}
    lines = [f'#include "{module.c_file}"']
    for symbol in kept:
        attributes = "used, noinline, noclone" if symbol in kernels else "used"
        lines.append(f"static __typeof__({symbol}) {symbol} __attribute__(({attributes}));")
    lines.append("const unsigned fedge_size_of_a_view = sizeof(__Pyx_memviewslice);")
    if module.numbers:
        table = "&__pyx_mstate_global_static.__pyx_number_tab[0]"
        lines.append(f"PyObject **const fedge_numbers_{module.name} = {table};")
    return "\n".join(lines) + "\n"


def _includes(folder: Path) -> list[str | Path]:
    """Flags for Python's headers, whose configuration is written for this machine."""
    sizes = "".join(
        f"#undef SIZEOF_{name}\n#define SIZEOF_{name} __SIZEOF_{own}__\n"
        for name, own in _SIZES.items()
    )
    config = folder / "config.h"
    config.write_text(f'#include "{_configuration()}"\n{sizes}')
    # Debian's pyconfig.h wants one for the other machine then, which this machine need not have.
    for triplet in {system.triplet for system in SYSTEMS}:
        other = folder / triplet / _headers().name / "pyconfig.h"
        other.parent.mkdir(parents=True)
        other.touch()
    return ["-include", config, f"-isystem{_headers()}", f"-I{KERNELS}", f"-idirafter{folder}"]


def _configuration() -> Path:
    """pyconfig.h itself: Debian's only chooses between those of its architectures."""
    named = Path(sysconfig.get_config_h_filename())
    own = str(sysconfig.get_config_var("MULTIARCH") or "")
    debian = named.parent.parent / own / named.parent.name / named.name
    return debian if own and debian.exists() else named
