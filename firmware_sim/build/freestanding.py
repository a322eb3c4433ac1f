"""The kernels' modules as libraries that need no system, no Python and no C library.

The C is Cython's, compiled like the wheel's, with its calls into Python left unresolved. Only a few
lines are added at its end: they keep a kernel's body from being inlined into the code that parses
its Python arguments, so that there is something to call.
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
# In the wheel a kernel's body shares its frame with the views of its arguments, and gcc inlines
# functions that enlarge that frame by at most a certain factor. Here the views are not in the
# frame: these bounds make gcc inline the same functions for every board, but one in pack_context.
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
    """A kernel and everything it calls, compiled.

    Its symbols fedge_size_of_a_view and fedge_numbers_MODULE are a view's size in bytes and the
    address of a module's table of numbers.
    """

    path: Path
    kernel: Entry
    modules: tuple[Module, ...]


def library(kernel: str, processor: Processor) -> Library:
    """A kernel's library, compiled on first use.

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
    """The compiler's name and version: counts are comparable only for the same one."""
    return " ".join(programs.run([processor.compiler, "--version"]).splitlines()[0].split())


def translator() -> str:
    """What translates the kernels to C: another version may produce other C."""
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
    # The last flag, because otherwise the compiler would recognise memcpy as memcpy.
    alone = ["-ffreestanding", "-fno-tree-loop-distribute-patterns"]
    _gcc(processor, *_FLAGS, *alone, "-c", _MEMORY, "-o", memory)
    # Each module has its own copy of some of Cython's functions.
    lenient = ["-Wl,-z,muldefs"]
    if processor.word == 4:
        # Debian's helpers are for another architecture than some processors; those used do run.
        lenient.append("-Wl,--no-warn-mismatch")
    parts: list[str | Path] = [*objects, memory, helpers]
    _gcc(processor, "-shared", "-nostdlib", *lenient, *parts, "-o", folder / "kernels.so")


def _object(module: Module, modules: tuple[Module, ...], processor: Processor) -> Path:
    """A compiled module, built once for all libraries that contain it."""
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
    """The source to compile: the module, the lines that keep its functions, and exported facts.

    A kernel's body must not also be inlined into its caller, or the functions it calls would have
    two callers and gcc would no longer inline them into the body, as it does in the wheel.
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
    """Flags for Python's headers, with a configuration that is adapted from this machine's."""
    sizes = "".join(
        f"#undef SIZEOF_{name}\n#define SIZEOF_{name} __SIZEOF_{own}__\n"
        for name, own in _SIZES.items()
    )
    config = folder / "config.h"
    config.write_text(f'#include "{_configuration()}"\n{sizes}')
    # Debian's pyconfig.h would then include the other machine's, which may not be installed here.
    for triplet in {system.triplet for system in SYSTEMS}:
        other = folder / triplet / _headers().name / "pyconfig.h"
        other.parent.mkdir(parents=True)
        other.touch()
    return ["-include", config, f"-isystem{_headers()}", f"-I{KERNELS}", f"-idirafter{folder}"]


def _configuration() -> Path:
    """The actual pyconfig.h: Debian's file only selects the one for the architecture."""
    named = Path(sysconfig.get_config_h_filename())
    own = str(sysconfig.get_config_var("MULTIARCH") or "")
    debian = named.parent.parent / own / named.parent.name / named.name
    return debian if own and debian.exists() else named
