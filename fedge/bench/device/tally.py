"""Counts the bytes a Python program exchanges over TCP, on systems that do not count them.

QEMU's user mode is one: `wire` reads nothing there. A tally sees what passes through the module
`socket`, as MQTT does here, but not TLS, which bypasses it.
"""

import socket
from typing import Any
from weakref import WeakSet

from fedge.bench.device.wire import Wire
from fedge.errors import ConfigError


class Tally:
    """Counts what new sockets of this process carry from now on.

    It replaces `socket.socket` with its own class for good, so it is for a process that exists
    only to be measured.
    """

    def __init__(self) -> None:
        self._sockets: WeakSet[_Counted] = WeakSet()
        sockets = self._sockets

        class Counted(_Counted):
            def __init__(self, *args: Any, **named: Any) -> None:
                super().__init__(*args, **named)
                sockets.add(self)

        setattr(socket, "socket", Counted)  # noqa: B010 - type checkers forbid assigning a class

    def read(self, port: int) -> Wire:
        """The totals over all open connections to a port, like `wire.read`.

        Raises:
            ConfigError: if there is no such connection.
        """
        found = [each for each in self._sockets if each.leads_to(port)]
        if not found:
            raise ConfigError(f"no connection to port {port} whose bytes can be counted")
        return Wire(
            ports=frozenset(each.getsockname()[1] for each in found),
            sent_bytes=sum(each.sent_bytes for each in found),
            received_bytes=sum(each.received_bytes for each in found),
        )


class _Counted(socket.socket):
    sent_bytes = received_bytes = 0

    def send(self, *args: Any) -> int:
        n_bytes = super().send(*args)
        self.sent_bytes += n_bytes
        return n_bytes

    def sendall(self, data: Any, *args: Any) -> None:
        super().sendall(data, *args)
        self.sent_bytes += memoryview(data).nbytes

    def recv(self, *args: Any) -> bytes:
        data = super().recv(*args)
        self.received_bytes += len(data)
        return data

    def leads_to(self, port: int) -> bool:
        """Whether it is connected to this port."""
        if self.family not in {socket.AF_INET, socket.AF_INET6}:
            return False
        try:
            return bool(self.getpeername()[1] == port)
        except OSError:  # closed, or not connected
            return False
