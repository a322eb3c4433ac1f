"""`python -m firmware_sim` and its commands."""

from collections.abc import Sequence

from fedge.cli.commands import Program

COMMANDS = {
    "boards": "list the boards and what each tier may claim about them",
    "doctor": "list what this machine lacks, and the commands that install it",
    "fetch": "download the parts of the boards' systems",
    "build": "cross-compile fedge's wheels",
    "run": "train a fleet of emulated devices through a real broker and aggregator",
    "bench": "count the instructions of the kernels, board by board",
    "cards": "measure what taking part costs a device, board by board",
    "scenario": "play a fault: a power cut, a bad link, a full card",
}

_HARNESS = Program(
    "python -m firmware_sim",
    "The device runtime as ARM code, on emulated boards.",
    "firmware_sim.cli",
    COMMANDS,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the process's exit code."""
    return _HARNESS.main(argv)
