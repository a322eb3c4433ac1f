"""Whether bytes still leave: on a slow link a large message is on its way for minutes.

A ping waits behind it, so the broker seems silent although it takes what is sent. Only the
kernel knows: that it was given bytes says nothing, as its buffer may hold all of the message.
"""

import fcntl
import socket
import struct
import termios

# Of Linux's `struct tcp_info`, from 4.1 on: bytes that the other side has acknowledged. Where
# there is no TCP_INFO nothing counts as progress.
_BYTES_ACKED = struct.Struct("=Q")
_OFFSET = 120
_QUEUED = struct.Struct("=i")  # what TIOCOUTQ gives: bytes written and not acknowledged


class Progress:
    """What the other side's kernel has taken of a connection's bytes."""

    def __init__(self) -> None:
        self._n_acked = 0

    def look(self, sock: socket.socket | None) -> bool:
        """Whether bytes have left since the last look, and more are on their way.

        The last of them do not count: from then on it is the broker's turn to say something.
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
