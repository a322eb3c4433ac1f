"""QEMU's own line, in its protocol QMP."""

import json
import socket
from contextlib import suppress
from typing import Any

from firmware_sim.errors import EmulationError

_PATIENCE_S = 120.0  # a snapshot of a large memory on a busy machine


class Monitor:
    """Gives orders to QEMU, one at a time.

    Args:
        line: a connected socket, which it closes.

    Raises:
        EmulationError: from every method, if QEMU refuses or is gone.
    """

    def __init__(self, line: socket.socket) -> None:
        line.settimeout(_PATIENCE_S)
        self._line, self._stream = line, line.makefile("rwb")
        try:
            self._message()  # its greeting
            self.order("qmp_capabilities")
        except EmulationError:
            self.close()
            raise

    def order(self, name: str, /, **arguments: object) -> Any:
        """What QEMU returns for a command."""
        request = {"execute": name, "arguments": arguments}
        try:
            self._stream.write(json.dumps(request).encode() + b"\n")
            self._stream.flush()
        except OSError as error:
            raise EmulationError(f"QEMU is gone before {name!r}") from error
        while True:
            message = self._message()
            if "error" in message:
                raise EmulationError(f"QEMU refused {name!r}: {message['error']['desc']}")
            if "return" in message:
                return message["return"]
            # Anything else tells of an event, which nobody waits for.

    def set_link(self, *, is_up: bool) -> None:
        """Plug the network cable in, or pull it."""
        self.order("set_link", name="net0", up=is_up)

    def pause(self) -> None:
        """Stop the guest's processors."""
        self.order("stop")

    def resume(self) -> None:
        """Let them go on."""
        self.order("cont")

    def power_button(self) -> None:
        """Press it; a guest may heed it or not."""
        self.order("system_powerdown")

    def save(self, name: str) -> None:
        """Keep the machine as it is now under a name in its qcow2 disk."""
        self._say(f"savevm {name}")

    def load(self, name: str) -> None:
        """Go back to a machine kept before."""
        self._say(f"loadvm {name}")

    def close(self) -> None:
        """Let go of the line."""
        with suppress(OSError):  # something may be left to send to a QEMU that is gone
            self._stream.close()
        self._line.close()

    def _say(self, words: str) -> None:
        """A command of the older, human monitor: it has no errors but in what it prints."""
        said = self.order("human-monitor-command", **{"command-line": words})
        if said.strip():
            raise EmulationError(f"QEMU refused {words!r}: {said.strip()}")

    def _message(self) -> dict[str, Any]:
        try:
            line = self._stream.readline()
            message: dict[str, Any] = json.loads(line)
        except (OSError, ValueError) as error:
            raise EmulationError("QEMU does not answer its monitor") from error
        return message
