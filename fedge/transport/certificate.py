"""When a broker's certificate is valid: for the error of a device whose clock is wrong."""

import socket
import ssl
from contextlib import ExitStack
from datetime import UTC, datetime

from fedge.transport.url import BrokerUrl

_TIMEOUT_S = 2.0
_SEQUENCE, _VERSION, _UTC_TIME, _LONG_TIME = 0x30, 0xA0, 0x17, 0x18  # tags of DER


def validity(url: BrokerUrl) -> tuple[datetime, datetime] | None:
    """The validity period of the broker's certificate; None if it presents none.

    It is not verified here, so use it only in a message. Opens its own connection and
    waits for at most a few seconds.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with ExitStack() as stack:
            plain = stack.enter_context(socket.create_connection((url.host, url.port), _TIMEOUT_S))
            sock = stack.enter_context(context.wrap_socket(plain, server_hostname=url.host))
            found = sock.getpeercert(binary_form=True)
        return None if found is None else read_validity(found)
    except (OSError, ValueError):
        return None


def read_validity(certificate: bytes) -> tuple[datetime, datetime]:
    """The validity period of a certificate in DER.

    Raises:
        ValueError: if it is not a certificate.

    Source: RFC 5280, section 4.1.
    """
    signed, _ = _open(certificate, _SEQUENCE)
    rest, _ = _open(signed, _SEQUENCE)
    if rest[:1] == bytes([_VERSION]):
        _, rest = _open(rest, _VERSION)
    for _ in ("serial number", "algorithm", "issuer"):
        _, rest = _open(rest)
    times, _ = _open(rest, _SEQUENCE)
    first, times = _time(times)
    last, _ = _time(times)
    return first, last


def _open(data: bytes, tag: int | None = None) -> tuple[bytes, bytes]:
    """The content of the first element, which has this tag, and what follows it."""
    if len(data) < 2 or tag not in {None, data[0]}:
        raise ValueError("not a certificate")
    size, start = data[1], 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[2:start], "big")
    if start + size > len(data):
        raise ValueError("not a certificate")
    return data[start : start + size], data[start + size :]


def _time(data: bytes) -> tuple[datetime, bytes]:
    content, rest = _open(data)
    text = content.decode("ascii")
    if data[0] == _UTC_TIME:  # two-digit years: 50 to 99 are in the last century
        text = ("19" if text[:2] >= "50" else "20") + text
    elif data[0] != _LONG_TIME:
        raise ValueError("not a time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC), rest
