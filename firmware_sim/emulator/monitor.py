"""The connection to QEMU itself, in its protocol QMP."""

import json
import socket
from contextlib import suppress
from typing import Any

from firmware_sim.errors import EmulationError

_PATIENCE_S = 120.0  # a snapshot of a large memory on a busy machine


class Monitor:
    """Sends commands to QEMU, one at a time.

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
            # Anything else reports an event, which nobody waits for.

    def set_link(self, *, is_up: bool) -> None:
        """Plug in the network cable, or unplug it."""
        self.order("set_link", name="net0", up=is_up)

    def pause(self) -> None:
        """Stop the guest's processors."""
        self.order("stop")

    def resume(self) -> None:
        """Resume the guest's processors."""
        self.order("cont")

    def power_button(self) -> None:
        """Press the power button; a guest may ignore it."""
        self.order("system_powerdown")

    def save(self, name: str) -> None:
        """Save the machine's current state under a name in its qcow2 disk."""
        self._say(f"savevm {name}")

    def load(self, name: str) -> None:
        """Restore a saved state."""
        self._say(f"loadvm {name}")

    def close(self) -> None:
        """Close the connection."""
        with suppress(OSError):  # data may be left to send to a QEMU that is gone
            self._stream.close()
        self._line.close()

    def _say(self, words: str) -> None:
        """A command of the older human monitor, which reports errors only in its output."""
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
