"""Real brokers with what a network needs: TLS and passwords."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedge.transport import programs
from fedge.transport.programs import BrokerKind
from tests.support.tools import need_tool

_MOSQUITTO = """
listener {port} 127.0.0.1
certfile {certificate}
keyfile {folder}/key.pem
allow_anonymous {everybody}
user root
"""
_IOTCORE = """
[v5.1.tls]
certpath = "{certificate}"
keypath = "{folder}/key.pem"
"""


@contextmanager
def guarded(
    kind: BrokerKind, port: int, certificate: Path, login: tuple[str, str] | None = None
) -> Iterator[None]:
    """A broker with TLS on 127.0.0.1; with a login it lets in only that user."""
    words = (_mosquitto if kind == "mosquitto" else _iotcore)(port, certificate, login)
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def _mosquitto(port: int, certificate: Path, login: tuple[str, str] | None) -> list[str]:
    folder = certificate.parent
    conf, passwords = certificate.with_suffix(".conf"), folder / "passwords"
    text = _MOSQUITTO.format(
        port=port,
        certificate=certificate,
        folder=folder,
        everybody=str(login is None).lower(),
    )
    if login:
        words = [need_tool("mosquitto_passwd"), "-c", "-b", str(passwords), *login]
        subprocess.run(words, check=True, capture_output=True)
        text += f"password_file {passwords}\n"
    conf.write_text(text)
    return [need_tool("mosquitto"), "-c", str(conf)]


def _iotcore(port: int, certificate: Path, login: tuple[str, str] | None) -> list[str]:
    folder = certificate.parent
    words = programs.command("iotcore", programs.Listener("127.0.0.1", port, folder))
    with Path(words[-1]).open("a") as conf:
        conf.write(_IOTCORE.format(certificate=certificate, folder=folder))
        if login:
            conf.write(f'\n[v5.1.connections.auth]\n{login[0]} = "{login[1]}"\n')
    return [sys.executable, *words[1:]]
