"""Runs programs of this machine, with a clear error if one is missing or fails."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from firmware_sim.errors import EmulationError, ProgramError

# Programs whose package has a different name.
_PACKAGES = {
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "arm-linux-gnueabihf-gcc": "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross",
    "arm-linux-gnueabi-gcc": "gcc-arm-linux-gnueabi libc6-dev-armel-cross",
    "arm-linux-gnueabi-g++": "g++-arm-linux-gnueabi",
    "apt-get": "apt",
    "apt-cache": "apt",
    "apt-config": "apt",
    "debugfs": "e2fsprogs",
    "depmod": "kmod",
    "dpkg-deb": "dpkg",
    "e2fsck": "e2fsprogs",
    "mke2fs": "e2fsprogs",
    "qemu-aarch64-static": "qemu-user-static",
    "qemu-arm-static": "qemu-user-static",
    "qemu-img": "qemu-utils",
    "qemu-system-aarch64": "qemu-system-arm",
}


def find(name: str) -> str | None:
    """The path of a program, including those that are only on root's PATH."""
    folders = [os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]
    return shutil.which(name, path=os.pathsep.join(folders))


def install(name: str) -> str:
    """The command that installs a program."""
    return f"sudo apt install {_PACKAGES.get(name, name)}"


def need(name: str) -> str:
    """The path of a program.

    Raises:
        EmulationError: if it is not installed; the message has the command to install it.
    """
    path = find(name)
    if path is None:
        raise EmulationError(f"{name} is not installed: {install(name)}")
    return path


def run(
    words: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> str:
    """The output of a program.

    Args:
        words: the program's name and its arguments.
        env: added to this process's environment.
        folder: where it runs; here if None.

    Raises:
        EmulationError: if it is not installed.
        ProgramError: if it fails; with the end of its error output.
    """
    done = subprocess.run(
        [need(str(words[0])), *words[1:]],
        env={**os.environ, **(env or {})},
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        called = " ".join(str(word) for word in words[:3])
        raise ProgramError(called, done.returncode, done.stdout + done.stderr)
    return done.stdout
