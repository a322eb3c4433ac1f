"""The installed size of fedge and its requirements where packages are Debian's."""

from functools import cache as once

from fedge.bench.device.figures import Card, Figures
from firmware_sim.boards import System
from firmware_sim.stock import debian, programs

_NOTE = "fedge and its packages, by Debian's sizes, without Python's compiled sources"
_KIB = 1024
_OWN = ("fedge", "paho-mqtt", "cbor2", "onnx")  # where they are not Debian's
_FOR_FEDGE = {"python3-numpy", "python3-protobuf", "python3-onnxruntime"}  # the others are Python


def with_packages(card: Card, system: System) -> Card:
    """The card with the size of all Debian packages installed for fedge, as Debian counts them.

    A card's own figure misses shared libraries; it is kept for packages from the package index.
    """
    if not _FOR_FEDGE & set(system.packages):
        return card
    installed = {name: size for name, size in card.installed.items() if name in _OWN}
    installed |= sizes(system)
    notes = {**card.figures.notes, "installed_bytes": _NOTE}
    values = {**card.figures.values, "installed_bytes": sum(installed.values())}
    return Card(who=card.who, figures=Figures(values, notes), installed=installed)


@once
def sizes(system: System) -> dict[str, int]:
    """Bytes of each Debian package that would not be there without fedge."""
    bare = [name for name in system.packages if name not in _FOR_FEDGE]
    without, whole = (
        debian.download(system.debian, system.suite, packages, tell=_be_quiet)
        for packages in (bare, system.packages)
    )
    return dict(_size(str(deb)) for deb in whole if deb not in without)


def _size(deb: str) -> tuple[str, int]:
    said = programs.run([programs.need("dpkg-deb"), "-f", deb, "Package", "Installed-Size"])
    fields = dict(line.split(": ") for line in said.strip().splitlines())
    return fields["Package"], int(fields["Installed-Size"]) * _KIB


def _be_quiet(_line: str) -> None:
    """Nothing to report: it is all in the cache, since the board has just run."""
