"""`python -m firmware_sim fetch`: all downloads at once, so that everything else works offline."""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fedge.bench.table import table
from fedge.cli.commands import write_json
from firmware_sim.boards import Board, System
from firmware_sim.build.toolchain import toolchain
from firmware_sim.cli.choice import add_boards, chosen_boards, systems
from firmware_sim.stock import cache
from firmware_sim.stock.kernel import Flavour, kernel
from firmware_sim.stock.packages import packages
from firmware_sim.stock.rootfs import rootfs

_KERNELS: dict[str, tuple[Flavour, ...]] = {
    "arm64": ("cloud-arm64", "arm64"),
    "armhf": ("armmp",),
    "armel": ("rpi",),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """What for."""
    parser.epilog = (
        "Debian packages come from this machine's own mirror, signed; Python packages from where"
        " pip gets them, by hash. Both stay in $FEDGE_EMULATION_CACHE (~/.cache/fedge/emulation)."
        " What is there already is not fetched again; to renew everything, delete that folder."
    )
    parser.add_argument(
        "--kernels", action="store_true", help="also what the tiers system and board boot"
    )
    add_boards(parser)


def run(args: argparse.Namespace) -> int:
    """Fetch and unpack, and say how much that is."""
    jobs = _jobs(chosen_boards(args), with_kernels=args.kernels)
    started = time.perf_counter()
    found = {}
    for number, (name, fetch) in enumerate(jobs.items(), start=1):
        print(f"[{number}/{len(jobs)}] {name}", flush=True)
        found[name] = fetch()
    sizes = {name: _size_mb(path) for name, path in found.items()}
    print(table(("unpacked", "MB"), [(name, f"{size:.0f}") for name, size in sizes.items()]))
    downloads_mb = _size_mb(cache.home() / "debs") + _size_mb(cache.home() / "wheels")
    seconds = time.perf_counter() - started
    print(f"{downloads_mb:.0f} MB of packages in {cache.home()}, {seconds:.1f} s")
    result = {"cache": str(cache.home()), "packages_mb": downloads_mb, "seconds": seconds}
    write_json(args.json, {**result, "unpacked_mb": sizes})
    return 0


def _jobs(boards: list[Board], *, with_kernels: bool) -> dict[str, Callable[[], Path]]:
    """What is to be fetched, and how."""
    jobs: dict[str, Callable[[], Path]] = {}
    for system in systems(boards):
        jobs[f"Debian {system.name}"] = partial(rootfs, system, tell=_tell)
        jobs[f"Python packages for {system.machine}"] = partial(packages, system, _tell)
        jobs[f"headers for {system.debian}"] = partial(_headers, system)
        for flavour in _KERNELS[system.debian] if with_kernels else ():
            jobs[f"kernel {flavour}"] = partial(_kernel, flavour)
    return jobs


def _headers(system: System) -> Path:
    return toolchain(system, _tell).headers


def _kernel(flavour: Flavour) -> Path:
    return kernel(flavour, _tell).folder


def _tell(line: str) -> None:
    print(f"      {line}", flush=True)


def _size_mb(folder: Path) -> float:
    """What the files take, each counted once."""
    total = 0
    for place, _, names in os.walk(folder):
        total += sum((Path(place) / name).lstat().st_size for name in names)
    return total / 1e6
