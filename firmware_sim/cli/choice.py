"""A flag that several commands share: which boards."""

import argparse
from collections.abc import Sequence

from firmware_sim.boards import BOARDS, Board, System, board, names


def add_boards(parser: argparse.ArgumentParser) -> None:
    """`--board NAME`, repeatable; all boards without it."""
    parser.add_argument(
        "--board",
        action="append",
        metavar="NAME",
        help=f"one of {', '.join(names(BOARDS))}; repeatable (default: all)",
    )


def chosen_boards(args: argparse.Namespace) -> list[Board]:
    """The boards asked for, or all of them.

    Raises:
        ConfigError: if there is no such board.
    """
    return [board(name) for name in args.board] if args.board else list(BOARDS)


def systems(boards: Sequence[Board]) -> list[System]:
    """The systems that run on them, each once."""
    return list(dict.fromkeys(each.system for each in boards))
