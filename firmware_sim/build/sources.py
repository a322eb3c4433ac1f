"""The files that fedge is built from, read at one moment: people edit while others build."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

CHECKOUT = Path(__file__).parents[2]
MOMENT = 315_532_800  # 1980, the first second a zip can store: equal sources make equal wheels

_TOP = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
_KEPT = {".py", ".pyi", ".pyx", ".pxd", ".h", ".typed"}


@dataclass(frozen=True, slots=True)
class Sources:
    """The contents of files, by their path in the checkout."""

    files: Mapping[str, bytes]

    @classmethod
    def read(cls, checkout: Path = CHECKOUT) -> Self:
        """The sources of a wheel as they are now, committed or not."""
        package = (path for path in (checkout / "fedge").rglob("*") if path.suffix in _KEPT)
        paths = [*(checkout / name for name in _TOP), *sorted(package)]
        return cls({path.relative_to(checkout).as_posix(): path.read_bytes() for path in paths})

    @property
    def digest(self) -> str:
        """A digest of all of them."""
        return _digest(self.files)

    @property
    def kernels(self) -> str:
        """A digest of those that the compiled part is built from."""
        ends = (".pyx", ".pxd", ".h")
        compiled = {name: text for name, text in self.files.items() if name.endswith(ends)}
        return _digest({**compiled, "setup.py": self.files["setup.py"]})

    def write(self, folder: Path) -> None:
        """Writes them to a folder, as old as possible, so that build results are newer."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            os.utime(path, (MOMENT, MOMENT))


def _digest(files: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name, content in sorted(files.items()):
        whole.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return whole.hexdigest()
