"""Emulated boards for tests, which are skipped, or fail under CI, if a tool is missing."""

from firmware_sim.boards import Board, board
from firmware_sim.tiers.base import RunsPrograms
from tests.support.tools import missing


def ready(tier: RunsPrograms, name: str) -> Board:
    """The board with this name, prepared on this tier; quick once the cache is warm."""
    found = board(name)
    lacking = [need.name for need in tier.needs(found) if not need.is_met]
    if lacking:
        missing(f"{', '.join(lacking)}: not installed")
    tier.prepare(found, tell=print)
    return found
