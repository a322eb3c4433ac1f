"""fedge's wheels for the boards, built here by plain setuptools with a cross compiler.

Only the C compiler is another one; nothing is emulated, and no other tool knows of it. The sources
are copied first, so that neither the checkout's kernels nor its build folder are touched.
"""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from firmware_sim.boards import System
from firmware_sim.build.toolchain import TARGET, toolchain, version
from firmware_sim.stock import cache, programs

Tell = Callable[[str], None]

_RECIPE = 1
ROOT = Path(__file__).parents[2]  # the checkout
_TOP = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
_KEPT = {".py", ".pyi", ".pyx", ".pxd", ".h", ".typed"}


def wheel(system: System, tell: Tell = print) -> Path:
    """fedge as it is in this checkout, built for a system.

    Returns:
        the file fedge-VERSION-cp311-abi3-linux_MACHINE.whl in the cache.

    Raises:
        EmulationError: if the compiler is missing or the build fails.
    """

    def make(folder: Path) -> None:
        tell(f"building fedge for {system.machine}")
        with tempfile.TemporaryDirectory() as temporary:
            copy = Path(temporary) / "fedge"
            copy_sources(copy)
            _build(system, copy, folder, tell)

    parts = (_RECIPE, digest(), TARGET[system.machine], version(system))
    folder = cache.made(f"fedge/{system.machine}", cache.key(*parts), make)
    (built,) = folder.glob("*.whl")
    return built


def sources() -> list[Path]:
    """The files that a wheel is made of."""
    package = (path for path in (ROOT / "fedge").rglob("*") if path.suffix in _KEPT)
    return [*(ROOT / name for name in _TOP), *sorted(package)]


def digest() -> str:
    """Stands for the content of all sources."""
    whole = hashlib.sha256()
    for path in sources():
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(ROOT)} {content}\n".encode())
    return whole.hexdigest()


def copy_sources(folder: Path) -> None:
    """Puts the sources into a folder of their own."""
    for path in sources():
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def _build(system: System, copy: Path, folder: Path, tell: Tell) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel"]
    words: list[str | Path] = [
        *pip,
        "--no-build-isolation",
        "--no-deps",
        "--wheel-dir",
        folder,
        ".",
    ]
    programs.run(words, env=toolchain(system, tell).environment(), folder=copy)
