"""Checks cached files before use: disks can corrupt data, downloads can be cut short."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def drop_corrupt(
    folder: Path, expected: Mapping[str, str], tell: Callable[[str], None]
) -> list[str]:
    """Which of these files are missing, after deleting and reporting those with a wrong SHA-256."""
    missing = []
    for name, digest in expected.items():
        path = folder / name
        if path.exists() and sha256(path) != digest:
            tell(f"{name} in the cache is corrupt: it is fetched again")
            path.unlink()
        if not path.exists():
            missing.append(name)
    return missing
