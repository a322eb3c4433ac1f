"""A certificate issued today, and a TLS front for a broker that presents it."""

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from firmware_sim.stock import programs

_DAYS = 30
_PIECE_BYTES = 65536


class Door:
    """Accepts TLS connections and forwards each one to a port on this machine's loopback.

    Leaving it as a context closes it.

    Args:
        folder: for key and certificate.
        port: the broker's.
        address: the address by which clients know the door.

    Attributes:
        certificate: the one that devices must trust.
        port: the door's.
    """

    def __init__(self, folder: Path, port: int, address: str) -> None:
        folder.mkdir(parents=True)
        key, self.certificate = folder / "key.pem", folder / "cert.pem"
        _make_certificate(key, self.certificate, address)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self._context, self._broker = context, ("127.0.0.1", port)
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._welcome, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._door.close()

    def _welcome(self) -> None:
        with suppress(OSError):  # the door is closed
            while True:
                guest, _ = self._door.accept()
                threading.Thread(target=self._join, args=(guest,), daemon=True).start()

    def _join(self, guest: socket.socket) -> None:
        with (
            suppress(OSError),
            self._context.wrap_socket(guest, server_side=True) as inside,
            socket.create_connection(self._broker) as broker,
        ):
            back = threading.Thread(target=_pass, args=(broker, inside), daemon=True)
            back.start()
            _pass(inside, broker)


def _pass(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            target.sendall(piece)
        target.shutdown(socket.SHUT_RDWR)


def _make_certificate(key: Path, certificate: Path, address: str) -> None:
    subject = ["-subj", f"/CN={address}", "-addext", f"subjectAltName=DNS:{address}"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    programs.run(["openssl", "req", "-x509", *curve, "-days", str(_DAYS), *subject, *files])
