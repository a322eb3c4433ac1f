"""Where a broker is and as whom to log in, as one URL."""

import re
from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import unquote, urlsplit

from fedge.errors import ConfigError

LOOPBACK = "127.0.0.1"
PORT = 1883  # of MQTT without TLS
_PORTS = {"mqtt": PORT, "mqtts": 8883, "ws": 80, "wss": 443}
_FORM = "expected mqtt://host:port or mqtts://, or for WebSocket ws:// or wss://"
_PATH = "/mqtt"  # of a WebSocket: the brokers' default
_ENCODED = "percent-encode /, ?, #, %, @ and spaces in user and password: %2F, %3F, %23, %25, ..."


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerUrl:
    """`mqtt://[user[:password]@]host[:port]`; `mqtts` for TLS.

    `ws://[user[:password]@]host[:port][/path]` is MQTT in a WebSocket, whose path is /mqtt if
    none is given; `wss` for TLS.

    `str` is for display; neither it nor `repr` contains the password.
    """

    host: str
    port: int
    is_tls: bool
    username: str | None
    password: str | None = field(repr=False)
    path: str | None = None  # of the WebSocket; None without one

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL; user and password may be percent-encoded.

        Raises:
            ConfigError: if it is not valid; the message does not repeat a password.
        """
        scheme, separator, rest = text.partition("://")
        scheme = scheme.lower()
        authority, tail = _split(rest)
        if not separator or scheme not in _PORTS:
            raise _refused(_FORM, text)
        if "@" in tail or not rest.isprintable() or " " in rest:
            raise ConfigError(f"broker URL: {_ENCODED}")
        if "?" in tail or "#" in tail:
            raise ConfigError("broker URL: it has no query (?) and no fragment (#)")
        is_websocket = scheme in {"ws", "wss"}
        if tail.strip("/") and not is_websocket:
            raise _refused("only ws:// and wss:// have a path", text)
        if not tail.isascii():
            raise _refused("a path of ASCII, percent-encoded", text)
        try:
            parts = urlsplit(f"//{authority}")
            port = parts.port
            username, password = _decoded(parts.username), _decoded(parts.password)
        except ValueError:  # its text may contain a password that lost its host
            raise ConfigError(
                f"broker URL: expected mqtt://host:port, a port to 65535; {_ENCODED}"
            ) from None
        if not parts.hostname or port == 0:
            raise _refused(_FORM, text)
        return cls(
            host=parts.hostname,
            port=_PORTS[scheme] if port is None else port,
            is_tls=scheme in {"mqtts", "wss"},
            username=username,
            password=password,
            path=(tail or _PATH) if is_websocket else None,
        )

    def with_password(self, password: str) -> Self:
        """The same URL with a password from another source.

        Raises:
            ConfigError: if the URL names no user, or already has a password.
        """
        if self.username is None:
            raise ConfigError(f"a password is for a user: name it, as in {_with_user(self)}")
        if self.password is not None:
            raise ConfigError(f"{self} has a password already: give one of the two")
        return replace(self, password=password)

    def __str__(self) -> str:
        """The URL for display: without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = ("mqtt" if self.path is None else "ws") + ("s" if self.is_tls else "")
        return f"{scheme}://{host}:{self.port}{self.path or ''}"


def _split(rest: str) -> tuple[str, str]:
    """Split at the first of / ? #, which ends the part that may hold user and password."""
    end = re.search(r"[/?#]", rest)
    return (rest, "") if end is None else (rest[: end.start()], rest[end.start() :])


def _decoded(text: str | None) -> str | None:
    """Percent-decoded; ValueError if the result is not UTF-8 or a % is unescaped."""
    if text is None:
        return None
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise ValueError("a lone %")
    return unquote(text, errors="strict")


def _refused(expected: str, text: str) -> ConfigError:
    """What is wrong, with the URL from its host on."""
    return ConfigError(f"broker URL: {expected}, found {text.rpartition('@')[2]!r}")


def _with_user(url: BrokerUrl) -> str:
    return str(url).replace("://", "://USER@", 1)
