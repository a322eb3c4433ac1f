"""The serial line to a guest: its programs' output, and commands to its first program."""

import base64
import binascii
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.errors import EmulationError

_KERNEL = re.compile(r"^\[ *\d+\.\d{6}\] ")
_LONGEST = 1 << 20  # bytes in a line; a guest that sends longer ones is sending garbage


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a command."""

    code: int
    text: str


class Console:
    """Reads the serial line in its own thread and sorts what it reads.

    The program's output goes to `log`, everything to `everything`.

    Args:
        line: a connected socket, which it closes.
        token: the prefix of answers from the guest's first program.
        log: file to append the program's lines to.
        everything: file to append everything from the line to.
    """

    def __init__(self, line: socket.socket, token: str, log: Path, everything: Path) -> None:
        self._line, self._token = line, token
        self._log, self._everything = log.open("ab"), everything.open("ab")
        self._changed = threading.Condition()
        self._answers: dict[int, Answer] = {}
        self._n_commands = 0
        self.is_ready = self.is_closed = False
        self.exit_code: int | None = None
        self.failure: str | None = None
        self.kernel: list[str] = []  # the kernel's messages
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def await_ready(self, timeout_s: float) -> None:
        """Wait until the guest takes commands.

        Raises:
            EmulationError: if it does not come up.
        """
        self._await(lambda: self.is_ready, timeout_s, "the guest is not up")

    def await_exit(self, timeout_s: float) -> int:
        """Wait for the program's exit code.

        Raises:
            EmulationError: if the time is up or the guest is gone.
        """
        self._await(lambda: self.exit_code is not None, timeout_s, "the program has not ended")
        assert self.exit_code is not None  # noqa: S101 - just waited for
        return self.exit_code

    def send(self, command: str) -> int:
        """Start a shell command; returns the number that identifies its answer."""
        if "\n" in command or len(command) > 3000:  # a terminal takes 4095 bytes as one line
            raise EmulationError(f"not a command for a console: {command[:80]!r}...")
        with self._changed:
            self._n_commands += 1
            number = self._n_commands
        try:
            self._line.sendall(f"{number} {command}\n".encode())
        except OSError as error:
            raise EmulationError(f"the guest is gone: {self.last_words()}") from error
        return number

    def call(self, command: str, timeout_s: float = 60.0) -> Answer:
        """Run a shell command in the guest, outside the programs' system, and wait for it.

        Raises:
            EmulationError: if the time is up or the guest is gone.
        """
        number = self.send(command)
        self._await(lambda: number in self._answers, timeout_s, f"no answer to {command!r}")
        return self._answers.pop(number)

    def expect(self, command: str, timeout_s: float = 60.0) -> str:
        """Like `call`, for a command that must succeed; returns its output."""
        answer = self.call(command, timeout_s)
        if answer.code != 0:
            raise EmulationError(f"{command!r} failed in the guest: {answer.text.strip()}")
        return answer.text

    def forget_exit(self) -> None:
        """The program is being started again: wait for a new exit code."""
        self.exit_code = None

    def last_words(self) -> str:
        """The guest's own reason if it gave one, else the kernel's last line."""
        return self.failure or (self.kernel[-1] if self.kernel else "it said nothing")

    def close(self) -> None:
        """Close after the machine has ended; all its output is in the files then."""
        self._thread.join(5.0)
        self._line.close()

    def _await(self, is_there: Callable[[], bool], timeout_s: float, what: str) -> None:
        end_s = time.monotonic() + timeout_s
        with self._changed:
            while not is_there():
                left_s = end_s - time.monotonic()
                if self.failure or self.is_closed:
                    raise EmulationError(f"{what}: the machine went down: {self.last_words()}")
                if left_s <= 0:
                    raise EmulationError(f"{what} after {timeout_s:g} s: {self.last_words()}")
                self._changed.wait(left_s)

    def _read(self) -> None:
        rest = b""
        with self._log, self._everything:
            while piece := _receive(self._line):
                self._everything.write(piece)
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    self._sort(line)
                self._log.flush()
                self._everything.flush()
                rest = rest[:_LONGEST]
        with self._changed:
            self.is_closed = True
            self._changed.notify_all()

    def _sort(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        before, mark, said = text.partition(f"{self._token} ")
        with self._changed:
            if mark:
                self._act_on(said)
                self._changed.notify_all()
            elif _KERNEL.match(text):
                self.kernel.append(text)
                return
            text = before
        if text:
            self._log.write(text.encode() + b"\n")

    def _act_on(self, said: str) -> None:
        match said.split(" "):
            case ["ready"]:
                self.is_ready = True
            case ["exit", code] if code.isdecimal():
                self.exit_code = int(code)
            case ["done", number, code, *text] if number.isdecimal() and code.isdecimal():
                self._answers[int(number)] = Answer(int(code), _text("".join(text)))
            case ["failed", *words]:
                self.failure = " ".join(words)
            case _:
                pass  # the kernel prints its command line, which contains the token


def _receive(line: socket.socket) -> bytes:
    try:
        return line.recv(65536)
    except OSError:
        return b""


def _text(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode(errors="replace")
    except binascii.Error:
        return ""
