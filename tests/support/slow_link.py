"""A slow link to a broker: a TCP proxy that accepts only so many bytes per second from clients.

It reads in small pieces through a small receive buffer, so that whatever it has not accepted stays
with the client; the broker's answers pass immediately.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PIECE_BYTES = 1024
_BUFFER_BYTES = 4096  # Linux doubles it


@contextmanager
def slow_link(port: int, up_bytes_per_s: float) -> Iterator[str]:
    """The URL of a broker on a local port, through the slow link."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(
            target=_accept, args=(listener, port, up_bytes_per_s), daemon=True
        )
        thread.start()
        yield f"mqtt://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        thread.join()


def _accept(listener: socket.socket, port: int, up_bytes_per_s: float) -> None:
    pairs: list[tuple[socket.socket, socket.socket]] = []
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            broker = socket.create_connection(("127.0.0.1", port))
            pairs.append((client, broker))
            for ways in ((client, broker, up_bytes_per_s), (broker, client, float("inf"))):
                threading.Thread(target=_carry, args=ways, daemon=True).start()
    for one in (end for pair in pairs for end in pair):
        one.close()


def _carry(source: socket.socket, sink: socket.socket, bytes_per_s: float) -> None:
    """Forward until one side closes; idle time is not made up for."""
    free_at_s = 0.0
    with suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            now_s = time.monotonic()
            free_at_s = max(free_at_s, now_s) + len(piece) / bytes_per_s
            time.sleep(free_at_s - now_s)
            sink.sendall(piece)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
