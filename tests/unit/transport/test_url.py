"""Broker URLs."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.config.device import DeviceConfig
from fedge.errors import ConfigError
from fedge.simulation.options import DemoOptions
from fedge.transport.url import BrokerUrl


@pytest.mark.parametrize(
    ("text", "shown", "username", "password"),
    [
        ("mqtt://pi", "mqtt://pi:1883", None, None),
        ("mqtts://pi", "mqtts://pi:8883", None, None),
        ("mqtt://127.0.0.1:99/", "mqtt://127.0.0.1:99", None, None),
        ("mqtt://[::1]:99", "mqtt://[::1]:99", None, None),
        ("mqtts://me@pi", "mqtts://pi:8883", "me", None),
        ("ws://pi", "ws://pi:80/mqtt", None, None),
        ("wss://me:p@pi", "wss://pi:443/mqtt", "me", "p"),
        ("ws://pi:8080/", "ws://pi:8080/", None, None),
        ("WSS://[::1]:99/a/b%20c", "wss://[::1]:99/a/b%20c", None, None),
        ("mqtts://me:a%40b%3Ac@pi:1", "mqtts://pi:1", "me", "a@b:c"),
    ],
)
def test_a_url_has_host_port_and_who_we_are(
    text: str, shown: str, username: str | None, password: str | None
) -> None:
    url = BrokerUrl.parse(text)
    assert str(url) == shown
    assert (url.username, url.password) == (username, password)
    assert url.is_tls == (text.split(":", maxsplit=1)[0].lower() in {"mqtts", "wss"})
    assert (url.path is not None) == text.lower().startswith("ws")


@pytest.mark.parametrize(
    "text",
    ["", "pi", "pi:1883", "http://pi", "mqtt://", "mqtt://:1883", "mqtt://pi:x", "mqtt://pi:99999",
     "mqtt://pi/topic", "mqtts://pi/mqtt", "mqtt://[::1", "mqtt://pi:0", "ws://pi/\u00e9",
     "ws://pi/a b", "ws://pi/mqtt?x", "wss://pi/mqtt#x", "ws://"],
)  # fmt: skip
def test_what_is_no_broker_url_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="broker URL"):
        BrokerUrl.parse(text)


@pytest.mark.parametrize(
    "text",
    ["http://me:se:cret@pi", "mqtt://me:12#cret@pi", "mqtt://me:12/cret@pi", "mqtt://me:1?cret@pi",
     "mqtt://me:cret", "mqtt://me:100%cret@pi", "mqtt://me:cret#12", "mqtt://me:%ffcret@pi",
     "mqtt://me:a cret@pi", "mqtt://me:cret@pi?x", "mqtt://me:cret@pi#x", "mqtt://me:cret@pi/x"],
)  # fmt: skip
def test_an_error_never_repeats_the_password(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        BrokerUrl.parse(text)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("mark", ["#", "/", "?", " "])
def test_a_mark_that_would_end_the_password_is_answered_with_how_to_write_it(mark: str) -> None:
    """`mqtt://user:12#34@host` dialled the host "user", port 12."""
    with pytest.raises(ConfigError, match=r"percent-encode /, \?, #, %"):
        BrokerUrl.parse(f"mqtt://user:12{mark}34@host")
    url = BrokerUrl.parse(f"mqtt://user:12%{ord(mark):02x}34@host")
    assert (url.host, url.username, url.password) == ("host", "user", f"12{mark}34")


@pytest.mark.parametrize("end", ["?", "?qos=1", "#", "#part", "/?x"])
def test_a_query_and_a_fragment_are_refused(end: str) -> None:
    with pytest.raises(ConfigError, match="no query"):
        BrokerUrl.parse(f"mqtt://user:pass@host:1883{end}")


def test_neither_str_nor_repr_has_the_password() -> None:
    url = BrokerUrl.parse("mqtt://me:secret@pi")
    assert "secret" not in f"{url} {url!r}"
    assert "secret" not in repr(DeviceConfig(broker="mqtt://me:secret@pi"))
    assert "secret" not in repr(DemoOptions(out=Path(), broker="mqtt://me:secret@pi"))


def test_a_password_from_elsewhere_needs_a_user_and_no_other_password() -> None:
    assert BrokerUrl.parse("mqtts://me@pi").with_password("a#b").password == "a#b"
    with pytest.raises(ConfigError, match=r"as in mqtts://USER@pi:8883"):
        BrokerUrl.parse("mqtts://pi").with_password("x")
    with pytest.raises(ConfigError, match="has a password already"):
        BrokerUrl.parse("mqtts://me:y@pi").with_password("x")


@given(text=st.text(max_size=40) | st.text(max_size=30).map("mqtt://".__add__))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    try:
        url = BrokerUrl.parse(text)
    except ConfigError:
        return
    assert url.host
    assert 1 <= url.port <= 65_535
