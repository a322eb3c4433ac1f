"""Bytes that this process exchanges with one TCP port, as the kernel counts them.

Everything a connection carries, whichever library opened it: payloads, topics, framing, TLS. Not
included are TCP and IP headers, and what TCP retransmits. Linux only, through TCP_INFO.
"""

import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fedge.errors import ConfigError

_BYTES = struct.Struct("=QQ")
_BYTES_AT = 120  # offset of bytes_acked and bytes_received in struct tcp_info, since Linux 4.2


@dataclass(frozen=True, slots=True)
class Wire:
    """Totals since the connections were opened.

    Attributes:
        ports: ours; if they change, there was a new connection and the totals started over.
        sent_bytes: acknowledged by the other side.
        received_bytes: arrived so far.
    """

    ports: frozenset[int]
    sent_bytes: int
    received_bytes: int


def is_told() -> bool:
    """Whether this system reports what a connection has carried; QEMU's user mode does not."""
    if not sys.platform.startswith("linux"):
        return False
    with socket.socket() as one:
        return len(_info(one)) == _BYTES_AT + _BYTES.size


def read(port: int) -> Wire:
    """The totals over all open connections to a port.

    Raises:
        ConfigError: if this system does not count, or there is no such connection.
    """
    if not sys.platform.startswith("linux"):
        raise ConfigError("the bytes of a connection are counted on Linux only")
    found = list(_connections(port))
    if not found:
        raise ConfigError(f"no connection to port {port} whose bytes this system counts")
    return Wire(
        ports=frozenset(own for own, _, _ in found),
        sent_bytes=sum(sent for _, sent, _ in found),
        received_bytes=sum(received for _, _, received in found),
    )


def _connections(port: int) -> Iterator[tuple[int, int, int]]:
    """For each connection: our port, bytes sent, bytes received."""
    for entry in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError):  # closed in the meantime, or not connected
            if entry.is_socket():
                with socket.socket(fileno=os.dup(int(entry.name))) as copy:
                    yield from _count(copy, port)


def _count(connection: socket.socket, port: int) -> Iterator[tuple[int, int, int]]:
    is_tcp = connection.family in {socket.AF_INET, socket.AF_INET6}
    if not is_tcp or connection.getpeername()[1] != port:
        return
    info = _info(connection)
    if len(info) == _BYTES_AT + _BYTES.size:  # QEMU's user mode returns only four bytes
        yield (connection.getsockname()[1], *_BYTES.unpack_from(info, _BYTES_AT))


def _info(connection: socket.socket) -> bytes:
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_AT + _BYTES.size)
