"""Whether bytes are still leaving: on a slow link a large message takes minutes.

A ping waits behind it, so the broker seems silent although it is receiving. Only the kernel
knows: handing bytes to it proves nothing, since its buffer may hold the whole message.
"""

import fcntl
import socket
import struct
import termios

# In Linux's `struct tcp_info`, since 4.1: bytes that the other side has acknowledged. Without
# TCP_INFO nothing counts as progress.
_BYTES_ACKED = struct.Struct("=Q")
_OFFSET = 120
_QUEUED = struct.Struct("=i")  # result of TIOCOUTQ: bytes written but not acknowledged


class Progress:
    """How many of a connection's bytes the other side's kernel has received."""

    def __init__(self) -> None:
        self._n_acked = 0

    def look(self, sock: socket.socket | None) -> bool:
        """Whether bytes have left since the last look, and more are still to go.

        The last ones do not count: after them it is the broker's turn to answer.
        """
        found = _read(sock)
        if found is None:
            return False
        n_acked, n_queued = found
        has_grown, self._n_acked = n_acked > self._n_acked, n_acked
        return has_grown and n_queued > 0


def _read(sock: socket.socket | None) -> tuple[int, int] | None:
    option = getattr(socket, "TCP_INFO", None)
    if sock is None or option is None:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, option, _OFFSET + _BYTES_ACKED.size)
        queued = fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(_QUEUED.size))
    except OSError:
        return None
    if len(info) < _OFFSET + _BYTES_ACKED.size:
        return None
    return _BYTES_ACKED.unpack_from(info, _OFFSET)[0], _QUEUED.unpack(queued)[0]
