"""Where a broker is and who we are there, as one URL."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

from fedge.errors import ConfigError

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerUrl:
    """`mqtt://[user[:password]@]host[:port]`; `mqtts` for TLS."""

    host: str
    port: int
    is_tls: bool
    username: str | None
    password: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL; user and password may be percent-encoded.

        Raises:
            ConfigError: if it is not one; the sentence does not repeat a password.
        """
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:  # whose text may hold a password that lost its host
            raise ConfigError("broker URL: expected mqtt://host:port, a port to 65535") from None
        is_known = parts.scheme in _PORTS and port != 0 and not parts.path.strip("/")
        if not parts.hostname or not is_known:
            shown = text.rpartition("@")[2]
            raise ConfigError(f"broker URL: expected mqtt://host:port or mqtts://, found {shown!r}")
        return cls(
            host=parts.hostname,
            port=_PORTS[parts.scheme] if port is None else port,
            is_tls=parts.scheme == "mqtts",
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
        )

    def __str__(self) -> str:
        """The URL for people: without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.is_tls else 'mqtt'}://{host}:{self.port}"
