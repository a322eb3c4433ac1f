"""`python -m firmware_sim build`: wheels for the boards, and what they contain."""

import argparse
import importlib.util
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fedge.bench.table import table
from fedge.cli.commands import write_json
from fedge.errors import MissingDependencyError
from firmware_sim.boards import System
from firmware_sim.build.wheels import wheel
from firmware_sim.cli.choice import add_boards, chosen_boards, systems
from firmware_sim.cli.verdict import verdict
from firmware_sim.errors import ArchiveError, EmulationError

if TYPE_CHECKING:  # pyelftools is an extra
    from firmware_sim.build.audit import Audit

_HEAD = ("wheel", "MB", "code for", "floats", "linked with", "glibc", "fused", "seconds")


def configure(parser: argparse.ArgumentParser) -> None:
    """Where the wheels go."""
    parser.epilog = (
        "Every wheel is inspected: processor, how floats are passed, libraries, versions of"
        " the C library, functions of Python's stable interface only, no fused multiply-add."
        " docs/arm.md says what the tags mean."
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("dist"),
        metavar="DIR",
        help="where wheels go (%(default)s)",
    )
    add_boards(parser)


def run(args: argparse.Namespace) -> int:
    """Build, inspect and copy the wheels."""
    if importlib.util.find_spec("elftools") is None:
        raise MissingDependencyError(
            "wheels are checked with pyelftools, which is not installed:"
            " pip install 'fedge[emulation]'"
        )
    built, failed = {}, []
    for system in systems(chosen_boards(args)):
        try:
            built[system] = _build(system, args.out)
        except ArchiveError as error:  # the other wheels do not need that archive
            failed.append(error)
    print(table(_HEAD, [_row(*each) for each in built.values()]))
    result = {
        system.machine: {**asdict(audit), "path": str(path), "seconds": seconds}
        for system, (path, audit, seconds) in built.items()
    }
    write_json(args.json, result)
    wrong = [
        f"{path.name}: {each}" for s, (path, a, _) in built.items() for each in a.complaints(s)
    ]
    if wrong:
        raise EmulationError("a wheel is not what its tag says:\n" + "\n".join(wrong))
    return verdict(failed)


def _build(system: System, out: Path) -> tuple[Path, "Audit", float]:
    from firmware_sim.build.audit import audit  # noqa: PLC0415 - needs the extra

    started = time.perf_counter()
    made = wheel(system)
    seconds = time.perf_counter() - started
    out.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(made, out)), audit(made, system), seconds


def _row(path: Path, audit: "Audit", seconds: float) -> tuple[str, ...]:
    glibc, size_mb = ".".join(map(str, audit.glibc)), audit.size_bytes / 1e6
    libraries = ", ".join(audit.libraries)
    facts = (audit.machine.removeprefix("EM_"), audit.floats, libraries, f">= {glibc}")
    return (path.name, f"{size_mb:.2f}", *facts, str(audit.n_fused), f"{seconds:.1f}")
