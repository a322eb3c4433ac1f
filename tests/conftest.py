"""What holds for every test."""

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.support.tools import UNAVAILABLE

# Some tests run graphs in onnxruntime on their own; it must not report to its maker then either.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many tests were skipped for an archive's fault, and why; also to the file of that name.

    The file lets CI say it once more at its end, where it is read.
    """
    skipped = [report.longrepr for report in terminalreporter.stats.get("skipped", [])]
    reasons = (each[2].removeprefix("Skipped: ") for each in skipped if isinstance(each, tuple))
    counts = Counter(reason for reason in reasons if reason.startswith(UNAVAILABLE))
    lines = [f"skipped {count} tests: {reason}" for reason, count in counts.items()]
    for line in lines:
        terminalreporter.write_line(line)
    file = os.environ.get("FEDGE_UNAVAILABLE")
    if file and lines:
        with Path(file).open("a") as told:
            told.writelines(f"{line}\n" for line in lines)
