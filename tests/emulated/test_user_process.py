"""Programs as guests: their ends, their logs, and that nothing outlives them."""

import os
import sys
import time
from pathlib import Path

import pytest

from firmware_sim.errors import EmulationError
from firmware_sim.tiers import process
from firmware_sim.tiers.process import Process, last_words

# Starts a child that would live for a minute, says both process ids, and waits.
_PARENT = """
import signal, subprocess, sys, time
{before}
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def python(folder: Path, program: str) -> Process:
    return Process([sys.executable, "-c", program], folder=folder, environment={"A": "b"})


def said(guest: Process, timeout_s: float = 20.0) -> str:
    """The first whole line, once it is there."""
    until_s = time.monotonic() + timeout_s
    while "\n" not in guest.log.read_text():
        assert time.monotonic() < until_s
        time.sleep(0.05)
    return guest.log.read_text().splitlines()[0]


def is_alive(process_id: int) -> bool:
    """Whether it runs; one that has ended and waits to be noticed does not."""
    status = Path(f"/proc/{process_id}/status")
    return status.exists() and "\nState:\tZ" not in status.read_text()


def test_the_exit_code_and_both_streams_are_kept(tmp_path: Path) -> None:
    program = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)"
    guest = python(tmp_path, program)
    assert guest.wait(20) == 3
    assert not guest.is_running()
    assert guest.log.read_text().split() == ["out", "err"]


def test_a_program_sees_only_the_environment_that_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDGE_DEVICE_BROKER", "mqtt://elsewhere")
    guest = python(tmp_path, "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}))")
    assert guest.wait(20) == 0
    assert guest.log.read_text().strip() == "['A']"


def test_to_wait_for_too_long_a_program_is_refused_and_leaves_it_running(tmp_path: Path) -> None:
    guest = python(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(EmulationError, match=r"still runs after 0\.2 s"):
        guest.wait(0.2)
    assert guest.is_running()
    guest.stop()
    assert not guest.is_running()


def test_an_end_by_a_signal_is_no_exit_code(tmp_path: Path) -> None:
    program = "import os, signal; print('so far', flush=True); os.kill(os.getpid(), 11)"
    guest = python(tmp_path, program)
    with pytest.raises(EmulationError, match=r"ended by SIGSEGV: so far"):
        guest.wait(20)


def test_to_stop_ends_what_the_program_has_started_too_and_may_be_done_twice(
    tmp_path: Path,
) -> None:
    guest = python(tmp_path, _PARENT.format(before=""))
    child = int(said(guest))
    assert is_alive(child)
    guest.stop()
    guest.stop()
    until_s = time.monotonic() + 5
    while is_alive(child) and time.monotonic() < until_s:
        time.sleep(0.05)
    assert not is_alive(child)


def test_a_program_that_does_not_listen_is_killed_when_patience_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_PATIENCE_S", 0.3)
    guest = python(tmp_path, _PARENT.format(before="signal.signal(signal.SIGTERM, signal.SIG_IGN)"))
    said(guest)
    began_s = time.monotonic()
    guest.stop()
    assert 0.3 <= time.monotonic() - began_s < 5
    assert not guest.is_running()


def test_a_program_that_may_end_in_its_own_way_does(tmp_path: Path) -> None:
    before = "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit(0)))"
    guest = python(tmp_path, _PARENT.format(before=before))
    said(guest)
    guest.stop()
    assert guest.wait(0) == 0
    assert guest.log.read_text().splitlines()[1] == "bye"


def test_last_words_are_the_last_line_that_says_something(tmp_path: Path) -> None:
    log = tmp_path / "program.log"
    assert last_words(log) == f"it said nothing; see {log}"
    log.write_bytes(b"first\nno such file: \xff\n\n  \n")
    assert last_words(log) == f"no such file: \N{REPLACEMENT CHARACTER} (all of it is in {log})"


def test_no_program_is_started_with_a_terminal_to_read_from(tmp_path: Path) -> None:
    guest = python(tmp_path, "import sys, os; print(repr(sys.stdin.read()), os.getsid(0))")
    assert guest.wait(20) == 0
    read, session = guest.log.read_text().split()
    assert read == "''"
    assert int(session) != os.getsid(0)
