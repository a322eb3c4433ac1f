import time
from functools import partial
from pathlib import Path

import pytest

from fedge.bench import instructions
from fedge.errors import ConfigError
from tests.support.tools import missing


def _spend(wanted_s: float) -> None:
    end = time.process_time() + wanted_s
    while time.process_time() < end:
        pass


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's clock of this process in the place of the processor's counter, in ns: the
    call, the layouts and the reading are the same, and every Linux has it."""
    monkeypatch.setattr(instructions, "_HARDWARE", 1)  # PERF_TYPE_SOFTWARE
    monkeypatch.setattr(instructions, "_INSTRUCTIONS", 1)  # PERF_COUNT_SW_TASK_CLOCK
    if instructions.refusal() is not None:
        missing(f"perf_event_open: {instructions.refusal()}")


@pytest.mark.usefixtures("clock")
def test_a_counter_counts_from_one_reading_to_the_next() -> None:
    with instructions.Counter() as counter:
        before = counter.read()
        _spend(0.05)
        between = counter.read() - before
    assert 0.04e9 < between < 0.5e9


@pytest.mark.usefixtures("clock")
def test_the_least_of_several_calls_is_that_of_the_shortest() -> None:
    shares = iter([0.03, 0.01, 0.03])
    found = instructions.least(lambda: partial(_spend, next(shares)), repeats=3)
    assert 0.008e9 < found < 0.025e9


def _n_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.usefixtures("clock")
def test_a_closed_counter_leaves_no_file_open() -> None:
    before = _n_files()
    counter = instructions.Counter()
    assert _n_files() == before + 1
    counter.close()
    counter.close()
    assert _n_files() == before


def test_a_machine_without_a_counter_is_told_so_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(instructions, "_INSTRUCTIONS", 1 << 40)  # no processor has this
    with pytest.raises(ConfigError, match="instruction"):
        instructions.Counter()
    assert "\n" not in str(instructions.refusal())


@pytest.mark.parametrize(
    ("machine", "largest", "name"),
    [
        ("aarch64", 2**63 - 1, "aarch64"),
        ("aarch64", 2**31 - 1, "arm"),  # a 32-bit system on a 64-bit kernel
        ("armv7l", 2**31 - 1, "arm"),
        ("armv6l", 2**31 - 1, "arm"),
        ("x86_64", 2**63 - 1, "x86_64"),
        ("x86_64", 2**31 - 1, "i386"),
    ],
)
def test_system_calls_have_the_numbers_of_the_process_not_of_the_kernel(
    machine: str, largest: int, name: str
) -> None:
    assert instructions._process(machine, largest) == name
