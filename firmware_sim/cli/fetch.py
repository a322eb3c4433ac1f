"""`python -m firmware_sim fetch`: all downloads at once, so that everything else works offline."""

import argparse
import os
import time
from pathlib import Path

from fedge.bench.table import table
from fedge.cli.commands import write_json
from firmware_sim.boards import Board
from firmware_sim.cli.choice import add_boards, chosen_boards
from firmware_sim.cli.verdict import verdict
from firmware_sim.errors import ArchiveError, EmulationError
from firmware_sim.stock import cache
from firmware_sim.stock.item import Item
from firmware_sim.tiers.named import RUNNING, tier
from firmware_sim.tiers.user import UserMode


def configure(parser: argparse.ArgumentParser) -> None:
    """What to fetch for."""
    parser.epilog = (
        "Debian packages come from this machine's own mirror, signed; Python packages from where"
        " pip gets them, by hash. Both stay in $FEDGE_EMULATION_CACHE (~/.cache/fedge/emulation)."
        " What is already there is not fetched again; to renew everything, delete that folder."
        f" Exit code {ArchiveError.exit_code} if an archive failed to deliver something and"
        " nothing else is wrong: all the rest is there."
    )
    parser.add_argument(
        "--kernels", action="store_true", help="also what the tiers system and board boot"
    )
    add_boards(parser)


def run(args: argparse.Namespace) -> int:
    """Fetch and unpack each item separately, and report the total and what was unavailable."""
    items = _items(chosen_boards(args), with_kernels=args.kernels)
    started = time.perf_counter()
    found, failed = {}, {}
    for number, item in enumerate(items, start=1):
        print(f"[{number}/{len(items)}] {item.title}", flush=True)
        try:
            found[item.title] = item.fetch(_tell)
        except EmulationError as error:
            failed[item.title] = error
            _tell(str(error))
    sizes = {name: _size_mb(path) for name, path in found.items()}
    print(table(("unpacked", "MB"), [(name, f"{size:.0f}") for name, size in sizes.items()]))
    downloads_mb = _size_mb(cache.home() / "debs") + _size_mb(cache.home() / "wheels")
    seconds = time.perf_counter() - started
    print(f"{downloads_mb:.0f} MB of packages in {cache.home()}, {seconds:.1f} s")
    result = {"cache": str(cache.home()), "packages_mb": downloads_mb, "seconds": seconds}
    sentences = {name: str(error) for name, error in failed.items()}
    write_json(args.json, {**result, "unpacked_mb": sizes, "failed": sentences})
    return verdict(failed.values())


def _items(boards: list[Board], *, with_kernels: bool) -> list[Item]:
    """The items to fetch, each once."""
    tiers = RUNNING if with_kernels else (UserMode.name,)
    found = [item for name in tiers for board in boards for item in tier(name).stock(board)]
    return list({(item.name, item.key): item for item in found}.values())


def _tell(line: str) -> None:
    print(f"      {line}", flush=True)


def _size_mb(folder: Path) -> float:
    """The size of the files, each counted once."""
    total = 0
    for place, _, names in os.walk(folder):
        total += sum((Path(place) / name).lstat().st_size for name in names)
    return total / 1e6
