"""`python -m firmware_sim doctor`: what the tiers need on this machine, and what is missing."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fedge.cli.commands import write_json
from firmware_sim import host
from firmware_sim.boards import Board
from firmware_sim.cli.choice import add_boards, chosen_boards
from firmware_sim.cli.columns import columns
from firmware_sim.tiers.base import Need, fault
from firmware_sim.tiers.named import RUNNING, TIERS, tier

_HEAD = ("", "need", "it ...", "tiers", "installed by")
_APT = "sudo apt install "


def configure(parser: argparse.ArgumentParser) -> None:
    """Which tiers and boards."""
    parser.epilog = (
        "Exit code 1 if something is missing. Nothing is installed or fetched; what archives"
        " failed to deliver to the last `fetch` is reported, but does not count as missing."
    )
    parser.add_argument(
        "--tier",
        choices=TIERS,
        action="append",
        metavar="TIER",
        help=f"one of {', '.join(TIERS)}; repeatable (default: all)",
    )
    add_boards(parser)


@dataclass(frozen=True, slots=True)
class _Finding:
    """A need, and the tiers that have it."""

    need: Need
    tiers: tuple[str, ...]


def run(args: argparse.Namespace) -> int:
    """Print all needs, the commands that meet the unmet ones, and archives' faults."""
    tiers, boards = args.tier or TIERS, chosen_boards(args)
    findings, faults = _findings(tiers, boards), _faults(tiers, boards)
    print(columns(_HEAD, [_row(each) for each in findings]))
    missing = [each.need for each in findings if not each.need.is_met]
    if missing:
        print("\nto install what is missing:")
        for command in commands(missing):
            print(f"  {command}")
    else:
        print("\nnothing is missing")
    for name, sentence in faults.items():
        print(f"\n{name}: {sentence}")
    write_json(args.json, {"needs": [_as_json(each) for each in findings], "unavailable": faults})
    return 1 if missing else 0


def commands(missing: Iterable[Need]) -> list[str]:
    """The commands that install all of these: one for all Debian packages, then the others."""
    asked = list(dict.fromkeys(need.install for need in missing))
    packages = sorted({name for each in asked for name in _packages(each)})
    others = [each for each in asked if not each.startswith(_APT)]
    return [*([_APT + " ".join(packages)] if packages else []), *others]


def _packages(command: str) -> list[str]:
    return command.removeprefix(_APT).split() if command.startswith(_APT) else []


def _findings(tiers: Sequence[str], boards: Sequence[Board]) -> list[_Finding]:
    """Every need once; it is met only if every tier says so."""
    needs: dict[str, Need] = {}
    wanted: dict[str, list[str]] = {}
    for name in tiers:
        for need in _needs(name, boards):
            if need.name not in needs or not need.is_met:
                needs[need.name] = need
            wanted.setdefault(need.name, []).append(name)
    return [_Finding(needs[name], tuple(dict.fromkeys(wanted[name]))) for name in needs]


def _needs(name: str, boards: Sequence[Board]) -> Iterable[Need]:
    """The needs of a tier and of what runs on it."""
    chosen = tier(name)
    for board in boards:
        if chosen.refusal(board) is None:
            yield from chosen.needs(board)
    if name in RUNNING:
        yield from host.needs()


def _faults(tiers: Sequence[str], boards: Sequence[Board]) -> dict[str, str]:
    """By board name, what archives failed to deliver for its system when last asked."""
    pairs = ((board.name, fault(tier(name), board)) for board in boards for name in tiers)
    return {name: sentence for name, sentence in pairs if sentence is not None}


def _row(finding: _Finding) -> tuple[str, ...]:
    need, state = finding.need, "ok" if finding.need.is_met else "MISSING"
    return (state, need.name, need.reason, " ".join(finding.tiers), need.install)


def _as_json(finding: _Finding) -> dict[str, object]:
    need = finding.need
    return {
        "name": need.name,
        "reason": need.reason,
        "install": need.install,
        "is_met": need.is_met,
        "tiers": list(finding.tiers),
    }
