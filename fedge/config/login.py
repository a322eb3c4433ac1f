"""How we log in at the broker: its URL, with the password from a file if one is named."""

from pathlib import Path

from fedge.errors import ConfigError
from fedge.transport.url import BrokerUrl

_MOST_BYTES = 65_535  # of a password in MQTT


def broker_url(broker: str, password_file: Path | None) -> BrokerUrl:
    """The broker's URL with the password in the file, without the line end that may follow it.

    Raises:
        ConfigError: if it is not a URL, or the file cannot be read or holds no password; the
            message never repeats a password.
    """
    url = BrokerUrl.parse(broker)
    return url if password_file is None else url.with_password(_read(password_file))


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            text = stream.read(_MOST_BYTES + 3).decode()
    except OSError as error:
        raise ConfigError(f"password file {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"password file {file}: expected UTF-8") from None
    password = text.removesuffix("\n").removesuffix("\r")
    if not password or "\n" in password or len(password.encode()) > _MOST_BYTES:
        raise ConfigError(
            f"password file {file}: expected one line, a password of at most {_MOST_BYTES} bytes"
        )
    return password
