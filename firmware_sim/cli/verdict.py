"""How a command that continues after failures ends."""

import sys
from collections.abc import Collection

from firmware_sim.errors import ArchiveError, EmulationError


def verdict(failed: Collection[EmulationError]) -> int:
    """Print all failures to stderr; the exit code distinguishes archives' faults from others."""
    for error in failed:
        print(error, file=sys.stderr)
    ours = [error for error in failed if not isinstance(error, ArchiveError)]
    return (ours or list(failed))[0].exit_code if failed else 0
