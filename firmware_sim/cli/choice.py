"""Flags that several commands have: which boards."""

import argparse
from collections.abc import Sequence

from firmware_sim.boards import BOARDS, Board, System, board, names


def add_boards(parser: argparse.ArgumentParser) -> None:
    """`--board NAME`, several times; all boards without it."""
    parser.add_argument(
        "--board",
        action="append",
        metavar="NAME",
        help=f"one of {', '.join(names(BOARDS))}; may be given again (all)",
    )


def chosen_boards(args: argparse.Namespace) -> list[Board]:
    """The boards that were asked for, or all.

    Raises:
        ConfigError: if there is no such board.
    """
    return [board(name) for name in args.board] if args.board else list(BOARDS)


def systems(boards: Sequence[Board]) -> list[System]:
    """What runs on them, each once."""
    return list(dict.fromkeys(each.system for each in boards))
