"""mosquitto with a configuration: users, rights, limits."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.tools import need_tool

_START_S = 10.0


@dataclass(frozen=True, slots=True)
class Configured:
    """A running mosquitto; its output, including every packet's type, is in `log`."""

    port: int
    log: Path

    def url(self, login: str = "", scheme: str = "mqtt", path: str = "") -> str:
        """The URL that reaches it; `login` is `user:password`."""
        return f"{scheme}://{login}{'@' if login else ''}127.0.0.1:{self.port}{path}"

    def said(self) -> str:
        return self.log.read_text(errors="replace")


@contextmanager
def configured(
    folder: Path,
    *,
    lines: str = "",
    users: Mapping[str, str] | None = None,
    rights: str = "",
    port: int = 0,
) -> Iterator[Configured]:
    """A mosquitto for the duration of a test, listening on loopback.

    Args:
        folder: for its files.
        lines: configuration lines to put right after the listener's.
        users: name to password; if there are none, everybody is let in.
        rights: the content of an ACL file, if wanted.
        port: where to listen; 0 for a free one.
    """
    program = need_tool("mosquitto")
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        port = probe.getsockname()[1]
    conf = f"listener {port} 127.0.0.1\n{lines}\nallow_anonymous {str(not users).lower()}\n"
    if os.geteuid() == 0:
        conf += "user root\n"  # otherwise it switches to a user who may not read the folder
    if users:
        (folder / "passwords").touch(mode=0o600)
        for name, password in users.items():
            command = [
                need_tool("mosquitto_passwd"),
                "-b",
                str(folder / "passwords"),
                name,
                password,
            ]
            subprocess.run(command, check=True)
        conf += f"password_file {folder}/passwords\n"
    if rights:
        (folder / "rights").write_text(rights)
        (folder / "rights").chmod(0o600)
        conf += f"acl_file {folder}/rights\n"
    (folder / "mosquitto.conf").write_text(f"{conf}log_dest stderr\nlog_type all\n")
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [program, "-c", str(folder / "mosquitto.conf")], stdout=log, stderr=log
        )
    try:
        _await_answer(process, port, folder / "log")
        yield Configured(port, folder / "log")
    finally:
        process.terminate()
        process.wait(10)


def _await_answer(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end_s = time.monotonic() + _START_S
    while time.monotonic() < end_s and process.poll() is None:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
            return
        time.sleep(0.02)
    raise AssertionError(f"mosquitto did not start: {log.read_text(errors='replace')}")
