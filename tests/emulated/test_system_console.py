"""The line to a guest: whatever comes over it, only the guest's first program is obeyed."""

import base64
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_sim.emulator.console import Answer, Console
from firmware_sim.emulator.monitor import Monitor
from firmware_sim.errors import EmulationError

pytestmark = pytest.mark.emulated
_TOKEN = "0123456789abcdef"


@contextmanager
def console(folder: Path, said: bytes, *, then_closes: bool = True) -> Iterator[Console]:
    """A console to a guest that says this, and is gone then."""
    ours, guests = socket.socketpair()
    found = Console(ours, _TOKEN, folder / "program.log", folder / "all.log")
    guests.sendall(said)
    if then_closes:
        guests.shutdown(socket.SHUT_WR)
    yield found
    guests.close()
    found.close()


def test_a_program_s_lines_are_parted_from_the_kernel_s_and_from_answers(tmp_path: Path) -> None:
    said = f"[    1.234567] eth0: up\r\nhello\r\n{_TOKEN} exit 3\nworld{_TOKEN} ready\n".encode()
    with console(tmp_path, said) as found:
        assert found.await_exit(5) == 3
        found.await_ready(5)
    assert (tmp_path / "program.log").read_text() == "hello\nworld\n"
    assert (tmp_path / "all.log").read_bytes() == said
    assert found.kernel == ["[    1.234567] eth0: up"]


def test_a_command_s_answer_is_the_one_with_its_number(tmp_path: Path) -> None:
    text = base64.b64encode(b"two\n").decode()
    said = f"{_TOKEN} done 2 1 {text}\n{_TOKEN} done 1 0 \n".encode()
    with console(tmp_path, said, then_closes=False) as found:
        assert found.call("true") == Answer(0, "")
        assert found.call("false") == Answer(1, "two\n")


def test_a_guest_that_goes_down_is_told_with_its_reason(tmp_path: Path) -> None:
    with (
        console(tmp_path, f"{_TOKEN} failed there is no disk\n".encode()) as found,
        pytest.raises(EmulationError, match="there is no disk"),
    ):
        found.await_ready(5)


def test_a_program_cannot_speak_for_the_guest(tmp_path: Path) -> None:
    with (
        console(tmp_path, b"0000000000000000 exit 0\nexit 0\n") as found,
        pytest.raises(EmulationError, match="went down"),
    ):
        found.await_exit(5)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.binary(max_size=40) | st.just(f"{_TOKEN} done 1 x\n".encode()), max_size=6))
def test_no_bytes_stop_the_reader(tmp_path: Path, pieces: list[bytes]) -> None:
    with console(tmp_path, b"".join(pieces) + f"\n{_TOKEN} exit 7\n".encode()) as found:
        assert found.await_exit(5) == 7


def test_a_command_of_two_lines_is_refused(tmp_path: Path) -> None:
    with console(tmp_path, b"") as found, pytest.raises(EmulationError, match="not a command"):
        found.send("true\nreboot")


def test_what_qemu_refuses_is_told_in_its_words() -> None:
    ours, qemus = socket.socketpair()
    with qemus:
        qemus.sendall(b'{"QMP": {}}\n{"return": {}}\n{"event": "RESET"}\n')
        qemus.sendall(b'{"error": {"desc": "Device net0 not found"}}\n')
        monitor = Monitor(ours)
        with pytest.raises(EmulationError, match="Device net0 not found"):
            monitor.set_link(is_up=False)
        monitor.close()


def test_a_monitor_that_talks_nonsense_is_an_error() -> None:
    ours, qemus = socket.socketpair()
    with qemus:
        qemus.sendall(b"hello\n")
        with pytest.raises(EmulationError, match="does not answer"):
            Monitor(ours)
