"""Connects standard input and output to a port on this machine's loopback, once.

QEMU starts it whenever a restricted guest connects; see `hardware.Network`.
"""

import os
import selectors
import socket
import sys

_PIECE_BYTES = 65536


def main(port: int) -> None:
    """Forward until either side closes."""
    with (
        socket.create_connection(("127.0.0.1", port)) as there,
        selectors.DefaultSelector() as ready,
    ):
        # QEMU passes one socket as both streams.
        ways = {0: there.fileno(), there.fileno(): 1}
        for source in ways:
            ready.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                piece = os.read(key.fd, _PIECE_BYTES)
                if not piece:
                    return
                _write(ways[key.fd], piece)


def _write(out: int, piece: bytes) -> None:
    while piece:
        piece = piece[os.write(out, piece) :]


if __name__ == "__main__":
    main(int(sys.argv[1]))
