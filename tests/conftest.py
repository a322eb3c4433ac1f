"""What holds for every test."""

import os
from collections.abc import Sequence

import pytest

# Some tests run graphs in onnxruntime on their own; it must not report to its maker then either.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

_LEFT_OUT = pytest.StashKey[int]()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count what `make test` leaves to `make test-arm`."""
    emulated = [item for item in items if item.get_closest_marker("emulated")]
    if emulated:
        stash = emulated[0].config.stash
        stash[_LEFT_OUT] = stash.get(_LEFT_OUT, 0) + len(emulated)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    n_left_out = config.stash.get(_LEFT_OUT, 0)
    if n_left_out:
        terminalreporter.write_line(
            f"left out: {n_left_out} tests that need cross compilers or QEMU: make test-arm"
        )
