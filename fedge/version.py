"""Which fedge this is, and which versions of other packages are installed with it."""

from collections.abc import Iterable

__version__ = "0.1.0"


def installed(packages: Iterable[str], *, absent: str | None = None) -> dict[str, str]:
    """The version of each package; one not installed is omitted, or listed as `absent`."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - takes 10 ms

    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            if absent is not None:
                found[package] = absent
    return found
