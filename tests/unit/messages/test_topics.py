"""Topics and names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.errors import ConfigError, PayloadError
from fedge.messages import Topics, is_name, part_of
from fedge.messages.topics import ANY_AGGREGATOR, fleet_of, shape_of

names = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


def test_every_topic_is_as_documented() -> None:
    topics = Topics("f")
    assert topics.device_state("d") == "fedge/v1/f/dev/d/state"
    assert topics.device_state() == "fedge/v1/f/dev/+/state"
    assert topics.device_in("d") == "fedge/v1/f/dev/d/in"
    assert topics.device_get("d") == "fedge/v1/f/dev/d/get"
    assert topics.round("j") == "fedge/v1/f/job/j/round"
    assert topics.up("j", "d", 1) == "fedge/v1/f/job/j/up/0/d"
    assert topics.up_filter("j") == "fedge/v1/f/job/j/up/+/+"
    assert topics.up_filter("j", 3) == "fedge/v1/f/job/j/up/3/+"
    assert topics.blob("0123456789abcdef", 5) == "fedge/v1/f/blob/0123456789abcdef/5"
    assert topics.aggregator_state("a") == "fedge/v1/f/srv/a/state"


def test_the_fleet_of_an_aggregators_state_is_named() -> None:
    assert ANY_AGGREGATOR == "fedge/v1/+/srv/+/state"
    assert fleet_of(Topics("f").aggregator_state("a")) == "f"
    for topic in (
        "fedge/v1/f/dev/a/state",
        "fedge/v1/a b/srv/a/state",
        "fedge/v1//srv/a/state",
        "",
    ):
        assert fleet_of(topic) is None


def test_a_part_is_the_crc_of_the_name() -> None:
    # crc32("123456789") is 0xCBF43926, the check value of the polynomial.
    assert part_of("123456789", 1000) == 0xCBF43926 % 1000


@given(fleet=names, job=names, device=names, parts=st.integers(1, 4096))
def test_the_device_of_its_topics_is_the_device(
    fleet: str, job: str, device: str, parts: int
) -> None:
    topics = Topics(fleet)
    for topic in (
        topics.device_state(device),
        topics.device_get(device),
        topics.device_in(device),
        topics.up(job, device, parts),
    ):
        assert topics.device_of(topic) == device


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "fedge/v1/f/job/j/round",
        "fedge/v1/f/srv/a/state",
        "fedge/v1/f/blob/0123456789abcdef/0",
        "fedge/v1/f/dev/a b/state",
        "fedge/v1/f/dev//state",
        "fedge/v1/f/job/j/up/0/\udcff",
        "fedge/v1/f/job/j/up/0/d/more",
    ],
)
def test_a_topic_of_no_device_is_refused(topic: str) -> None:
    with pytest.raises(PayloadError, match="names a device") as caught:
        Topics("f").device_of(topic)
    str(caught.value).encode()


@pytest.mark.parametrize("name", ["", "a" * 65, "a b", "a/b", "+", "#", "ä", "a\n", "$SYS"])
def test_what_would_need_escaping_is_no_name(name: str) -> None:
    assert not is_name(name)
    with pytest.raises(ConfigError, match="fleet name"):
        Topics(name)


@pytest.mark.parametrize(
    ("topic", "shape"),
    [
        ("fedge/v1/home/dev/pi-3/in", "fedge/v1/home/dev/+/in"),
        ("fedge/v1/home/blob/0123/7", "fedge/v1/home/blob/+/+"),
        ("fedge/v1/home/job/dev/up/3/pi-3", "fedge/v1/home/job/dev/up/+/+"),
        ("fedge/v1/home/job/up/round", "fedge/v1/home/job/up/round"),
        ("a", "a"),
    ],
)
def test_a_shape_is_the_same_for_all_devices_and_blobs(topic: str, shape: str) -> None:
    assert shape_of(topic) == shape
