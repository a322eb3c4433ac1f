"""`python -m firmware_sim boards`: the boards, what runs them, and what that proves."""

import argparse

from fedge.cli.commands import write_json
from firmware_sim.boards import BOARDS, Board
from firmware_sim.cli.columns import columns
from firmware_sim.tiers.base import Tier, fault
from firmware_sim.tiers.named import TIERS, tier

_HEAD = ("board", "processor", "cores", "memory", "Debian", "graphs by")


def configure(parser: argparse.ArgumentParser) -> None:
    """Which tiers."""
    parser.epilog = "No board is the real one; what a tier may not claim needs a board in hand."
    parser.add_argument(
        "--tier", choices=TIERS, action="append", metavar="TIER", help=f"one of {', '.join(TIERS)}"
    )


def run(args: argparse.Namespace) -> int:
    """Print the boards, then the tiers, then which tiers refuse which boards and why."""
    tiers = [tier(name) for name in args.tier or TIERS]
    print(columns((*_HEAD, *(each.name for each in tiers)), [_row(b, tiers) for b in BOARDS]))
    for each in tiers:
        print(f"\n{each.name}: {each.runs}")
        print(f"  may claim      {each.may_claim}")
        print(f"  may not claim  {each.may_not_claim}")
        for board in BOARDS:
            if (reason := each.refusal(board)) is not None:
                print(f"  refuses {board.name}: {reason}")
            if (lacking := fault(each, board)) is not None:
                print(f"  cannot have {board.name} now: {lacking}")
    write_json(args.json, _as_json(tiers))
    return 0


def _row(board: Board, tiers: list[Tier]) -> tuple[str, ...]:
    runs = (_state(each, board) for each in tiers)
    system = f"{board.system.suite} {board.system.debian}"
    cores, memory = str(board.n_cores), f"{board.memory_mb} MB"
    return (board.name, board.cpu, cores, memory, system, board.system.engine, *runs)


def _state(tier: Tier, board: Board) -> str:
    if tier.refusal(board):
        return "-"
    return "unavailable" if fault(tier, board) else "runs"


def _as_json(tiers: list[Tier]) -> dict[str, object]:
    boards = {
        board.name: {
            "title": board.title,
            "cpu": board.cpu,
            "n_cores": board.n_cores,
            "memory_mb": board.memory_mb,
            "system": board.system.name,
            "engine": board.system.engine,
            "refused": {each.name: each.refusal(board) for each in tiers},
            "unavailable": {each.name: fault(each, board) for each in tiers},
        }
        for board in BOARDS
    }
    claims = {
        each.name: {
            "runs": each.runs,
            "may_claim": each.may_claim,
            "may_not_claim": each.may_not_claim,
        }
        for each in tiers
    }
    return {"boards": boards, "tiers": claims}
