"""Broker URLs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.errors import ConfigError
from fedge.transport.url import BrokerUrl


@pytest.mark.parametrize(
    ("text", "shown", "username", "password"),
    [
        ("mqtt://pi", "mqtt://pi:1883", None, None),
        ("mqtts://pi", "mqtts://pi:8883", None, None),
        ("mqtt://127.0.0.1:99/", "mqtt://127.0.0.1:99", None, None),
        ("mqtt://[::1]:99", "mqtt://[::1]:99", None, None),
        ("mqtts://me@pi", "mqtts://pi:8883", "me", None),
        ("mqtts://me:a%40b%3Ac@pi:1", "mqtts://pi:1", "me", "a@b:c"),
    ],
)
def test_a_url_has_host_port_and_who_we_are(
    text: str, shown: str, username: str | None, password: str | None
) -> None:
    url = BrokerUrl.parse(text)
    assert str(url) == shown
    assert (url.username, url.password) == (username, password)
    assert url.is_tls == text.startswith("mqtts")


@pytest.mark.parametrize(
    "text",
    ["", "pi", "pi:1883", "http://pi", "mqtt://", "mqtt://:1883", "mqtt://pi:x", "mqtt://pi:99999",
     "mqtt://pi/topic", "mqtt://[::1", "mqtt://pi:0"],
)  # fmt: skip
def test_what_is_no_broker_url_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="broker URL"):
        BrokerUrl.parse(text)


def test_an_error_never_repeats_the_password() -> None:
    with pytest.raises(ConfigError) as caught:
        BrokerUrl.parse("http://me:se:cret@pi")
    assert "cret" not in str(caught.value)


@given(text=st.text(max_size=40) | st.text(max_size=30).map("mqtt://".__add__))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    try:
        url = BrokerUrl.parse(text)
    except ConfigError:
        return
    assert url.host
    assert 1 <= url.port <= 65_535
