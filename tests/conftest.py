"""What holds for every test."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support.tools import UNAVAILABLE

# Some tests run graphs in onnxruntime on their own; it must not report to its maker then either.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# Two threads on small products take ten times as long as one where other tests run beside.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("fedge", deadline=None)
settings.load_profile("fedge")

_LEFT_OUT = pytest.StashKey[int]()
_COUNT = "left_out"  # what a process of pytest-xdist calls it


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that FEDGE_LEAVE_OUT lists: CI's bare root has seen them pass."""
    file = os.environ.get("FEDGE_LEAVE_OUT")
    if not file:
        return
    passed = set(Path(file).read_text().splitlines())
    left_out = [item for item in items if item.nodeid in passed]
    items[:] = [item for item in items if item.nodeid not in passed]
    config.hook.pytest_deselected(items=left_out)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count what `make test` leaves to `make test-arm`."""
    emulated = [item for item in items if item.get_closest_marker("emulated")]
    if emulated:
        stash = emulated[0].config.stash
        stash[_LEFT_OUT] = stash.get(_LEFT_OUT, 0) + len(emulated)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """A process takes a file at a time, and one process all that talk to brokers.

    Those mostly wait, and measure how long: beside each other they would take each other's time.
    """
    # Only there.
    from xdist.scheduler.loadscope import (  # type: ignore[import-untyped]  # noqa: PLC0415
        LoadScopeScheduling,
    )

    class ByFile(LoadScopeScheduling):  # type: ignore[misc] # it has no types
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "tests/broker" if file.startswith("tests/broker/") else file

    return ByFile(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a process of pytest-xdist: hand over the count, which is the same in each of them."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_COUNT] = session.config.stash.get(_LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over the count of a process that has ended."""
    node.config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get(_COUNT, 0)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """What was left out, and what was skipped for an archive's fault."""
    n_left_out = config.stash.get(_LEFT_OUT, 0)
    if n_left_out:
        terminalreporter.write_line(
            f"left out: {n_left_out} tests that need cross compilers or QEMU: make test-arm"
        )
    _tell_unavailable(terminalreporter)
    file = os.environ.get("FEDGE_PASSED")
    if file:
        passed = [report.nodeid for report in terminalreporter.stats.get("passed", [])]
        with Path(file).open("a") as told:
            told.writelines(f"{nodeid}\n" for nodeid in passed)


def _tell_unavailable(reporter: pytest.TerminalReporter) -> None:
    """How many tests were skipped for an archive's fault, and why; also to the file of that name.

    The file lets CI say it once more at its end, where it is read.
    """
    skipped = [report.longrepr for report in reporter.stats.get("skipped", [])]
    reasons = (each[2].removeprefix("Skipped: ") for each in skipped if isinstance(each, tuple))
    counts = Counter(reason for reason in reasons if reason.startswith(UNAVAILABLE))
    lines = [f"skipped {count} tests: {reason}" for reason, count in counts.items()]
    for line in lines:
        reporter.write_line(line)
    file = os.environ.get("FEDGE_UNAVAILABLE")
    if file and lines:
        with Path(file).open("a") as told:
            told.writelines(f"{line}\n" for line in lines)
