"""Disk images, created and read without mounting them, so without being root."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from firmware_sim.errors import EmulationError
from firmware_sim.stock import programs

_SECTOR_BYTES = 512
_MIB = 2**20


def make_ext4(image: Path, folder: Path, *, label: str, size_mb: int) -> None:
    """Create an ext4 file system with a folder's content and no blocks reserved for root.

    Raises:
        EmulationError: if the content does not fit.
    """
    image.unlink(missing_ok=True)
    size = ["-m", "0", "-L", label, "-E", "root_owner=0:0"]
    programs.run(["mke2fs", "-q", "-t", "ext4", *size, "-d", folder, image, f"{size_mb}M"])


def read_ext4(image: Path, path: str, into: Path) -> None:
    """Copy the content of a folder in a file system that is not in use.

    A journal left by a power cut is replayed first, as the next boot would do.
    """
    _repair(image)
    into.mkdir(parents=True, exist_ok=True)
    programs.run(["debugfs", "-R", f'rdump "{path}" "{into}"', image])


def check_ext4(image: Path) -> str:
    """What `e2fsck` finds wrong after replaying the journal; ideally nothing."""
    _repair(image)
    done = subprocess.run(
        [programs.need("e2fsck"), "-fn", str(image)], capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout


def make_overlay(overlay: Path, base: Path) -> None:
    """Create a qcow2 image that holds what is written on top of a raw one."""
    formats = ["-f", "qcow2", "-F", "raw"]
    programs.run(["qemu-img", "create", "-q", *formats, "-b", base.resolve(), overlay])


def flatten(overlay: Path, raw: Path) -> None:
    """Write the raw image that an overlay represents."""
    programs.run(["qemu-img", "convert", "-O", "raw", overlay, raw])


def make_card(card: Path, partitions: Sequence[Path]) -> None:
    """Create an SD card with these file systems as partitions; its size is a power of two."""
    card.unlink(missing_ok=True)
    table = bytearray(_SECTOR_BYTES)
    offset = _MIB
    with card.open("wb") as out:
        for number, image in enumerate(partitions):
            size = image.stat().st_size
            at = 446 + 16 * number
            table[at + 4] = 0x83  # Linux
            table[at + 8 : at + 12] = (offset // _SECTOR_BYTES).to_bytes(4, "little")
            table[at + 12 : at + 16] = (size // _SECTOR_BYTES).to_bytes(4, "little")
            _copy_sparse(image, out.fileno(), offset)
            offset += -(-size // _MIB) * _MIB
        table[510:] = b"\x55\xaa"
        out.seek(0)
        out.write(table)
        out.truncate(1 << (offset - 1).bit_length())


def read_partition(card: Path, number: int, into: Path) -> None:
    """Copy one partition, counting from 0, into its own file."""
    with card.open("rb") as source:
        table = source.read(_SECTOR_BYTES)
        at = 446 + 16 * number
        start = int.from_bytes(table[at + 8 : at + 12], "little") * _SECTOR_BYTES
        size = int.from_bytes(table[at + 12 : at + 16], "little") * _SECTOR_BYTES
        source.seek(start)
        with into.open("wb") as out:
            while size:
                piece = source.read(min(size, _MIB))
                out.write(piece)
                size -= len(piece)


def _repair(image: Path) -> None:
    """Replay the journal; e2fsck then exits with 1."""
    done = subprocess.run(
        [programs.need("e2fsck"), "-p", str(image)], capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        raise EmulationError(f"the file system in {image} is damaged: {done.stdout.strip()}")


def _copy_sparse(image: Path, out: int, offset: int) -> None:
    """Copy a file's data into another file at an offset, skipping holes."""
    with image.open("rb") as source:
        end = image.stat().st_size
        at = 0
        while at < end:
            try:
                at = os.lseek(source.fileno(), at, os.SEEK_DATA)
            except OSError:  # only a hole remains
                return
            hole = os.lseek(source.fileno(), at, os.SEEK_HOLE)
            while at < hole:
                piece = os.pread(source.fileno(), min(hole - at, _MIB), at)
                os.pwrite(out, piece, offset + at)
                at += len(piece)
