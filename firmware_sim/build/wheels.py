"""fedge's wheels for the boards, built here by plain setuptools with a cross compiler.

Only the C compiler differs; nothing is emulated, and no other tool is affected. The build uses a
copy of the sources, so that neither the checkout's kernels nor its build folder are touched. The
compiled part is cached separately: a change in Python alone makes a new wheel in two seconds.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from firmware_sim.boards import System
from firmware_sim.build.sources import MOMENT, Sources
from firmware_sim.build.toolchain import TARGET, toolchain, version
from firmware_sim.stock import cache, programs

Tell = Callable[[str], None]

_RECIPE = 3


def wheel(system: System, tell: Tell = print) -> Path:
    """This checkout's fedge, built for a system.

    Returns:
        the file fedge-VERSION-cp311-abi3-linux_MACHINE.whl in the cache.

    Raises:
        EmulationError: if the compiler is missing or the build fails.
    """
    sources = Sources.read()
    key = cache.key(_RECIPE, sources.digest, *_maker(system))

    def make(folder: Path) -> None:
        compiled = _compiled(system, sources, tell)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel"]
        build = [*pip, "--no-build-isolation", "--no-deps", "--wheel-dir", str(folder), "."]
        with tempfile.TemporaryDirectory() as copy:
            sources.write(Path(copy))
            shutil.copytree(compiled, Path(copy) / "build")
            _run(build, system, Path(copy), tell)

    (built,) = cache.made(f"fedge/{system.machine}", key, make).glob("*.whl")
    return built


def _compiled(system: System, sources: Sources, tell: Tell) -> Path:
    """setuptools' folder `build`, newer than all sources and therefore reused."""

    def make(folder: Path) -> None:
        translated = _translated(sources, tell)
        tell(f"compiling the kernels for {system.machine}")
        with tempfile.TemporaryDirectory() as copy:
            sources.write(Path(copy))
            shutil.copytree(translated, Path(copy) / "build")
            _run([sys.executable, "setup.py", "--quiet", "build_ext"], system, Path(copy), tell)
            shutil.copytree(Path(copy) / "build", folder, dirs_exist_ok=True)

    key = cache.key(_RECIPE, sources.kernels, *_maker(system))
    return cache.made(f"kernels/{system.machine}", key, make)


def _translated(sources: Sources, tell: Tell) -> Path:
    """The same folder with Cython's C, which is the same for all machines."""

    def make(folder: Path) -> None:
        tell("translating the kernels to C")
        with tempfile.TemporaryDirectory() as copy:
            sources.write(Path(copy))
            programs.run([sys.executable, "setup.py", "--version"], folder=Path(copy))
            shutil.copytree(Path(copy) / "build", folder, dirs_exist_ok=True)

    return cache.made("kernels/any", cache.key(_RECIPE, sources.kernels, sys.version), make)


def _maker(system: System) -> tuple[str, ...]:
    return (sys.version, version(system), *TARGET[system.machine])


def _run(words: list[str], system: System, folder: Path, tell: Tell) -> None:
    settings = toolchain(system, tell).environment()
    programs.run(words, env={**settings, "SOURCE_DATE_EPOCH": str(MOMENT)}, folder=folder)
