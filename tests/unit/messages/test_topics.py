"""Topics and names."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.errors import ConfigError, PayloadError
from fedge.messages import Topics, is_name, part_of
from fedge.messages.topics import (
    ANY_AGGREGATOR,
    AggregatorTopic,
    BlobTopic,
    DeviceTopic,
    RoundTopic,
    Topic,
    UpTopic,
    fleet_of,
    shape_of,
)
from fedge.types import DeviceId, JobId

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


@pytest.mark.parametrize(
    ("topic", "found"),
    [
        ("fedge/v1/f/dev/d/state", DeviceTopic("state", DeviceId("d"))),
        ("fedge/v1/f/dev/d/in", DeviceTopic("in", DeviceId("d"))),
        ("fedge/v1/f/dev/d/get", DeviceTopic("get", DeviceId("d"))),
        ("fedge/v1/f/job/j/round", RoundTopic(JobId("j"))),
        ("fedge/v1/f/job/up/up/4095/up", UpTopic(JobId("up"), 4095, DeviceId("up"))),
        ("fedge/v1/f/blob/0123456789abcdef/65535", BlobTopic("0123456789abcdef", 65535)),
        ("fedge/v1/f/srv/a/state", AggregatorTopic("a")),
    ],
)
def test_every_topic_is_read_as_documented(topic: str, found: Topic) -> None:
    assert Topics("f").read(topic) == found


@given(fleet=names, name=names, device=names, parts=st.integers(1, 4096), n=st.integers(0, 65535))
def test_what_is_written_is_read(fleet: str, name: str, device: str, parts: int, n: int) -> None:
    topics, key = Topics(fleet), "00ff" * 4
    up = UpTopic(JobId(name), part_of(device, parts), DeviceId(device))
    assert topics.read(topics.up(name, device, parts)) == up
    assert topics.read(topics.device_state(device)) == DeviceTopic("state", DeviceId(device))
    assert topics.read(topics.device_get(device)) == DeviceTopic("get", DeviceId(device))
    assert topics.read(topics.device_in(device)) == DeviceTopic("in", DeviceId(device))
    assert topics.read(topics.round(name)) == RoundTopic(JobId(name))
    assert topics.read(topics.blob(key, n)) == topics.blob_of(topics.blob(key, n))
    assert topics.blob_of(topics.blob(key, n)) == BlobTopic(key, n)
    assert topics.read(topics.aggregator_state(name)) == AggregatorTopic(name)


HOSTILE = [
    "",
    "/",
    "fedge/v1/f",
    "fedge/v1/f/",
    "fedge/v2/f/dev/d/state",
    "fedge/v1/g/dev/d/state",
    "fedge/v1/f/f/dev/d/state",
    "/fedge/v1/f/dev/d/state",
    "fedge/v1/f/dev/d/state/",
    "fedge/v1/f/dev/d/State",
    "fedge/v1/f/dev/+/state",
    "fedge/v1/f/dev/d",
    "fedge/v1/f/dev/" + "d" * 65 + "/get",
    "fedge/v1/f/job/j/up/0/d\n",
    "fedge/v1/f/job/j/up/-1/d",
    "fedge/v1/f/job/j/up/00/d",
    "fedge/v1/f/job/j/up/1_0/d",
    "fedge/v1/f/job/j/up/\u0661/d",
    "fedge/v1/f/job/j/up/" + "9" * 5000 + "/d",
    "fedge/v1/f/job/j k/up/0/d",
    "fedge/v1/f/job/\udcff/round",
    "fedge/v1/f/blob/0123456789ABCDEF/0",
    "fedge/v1/f/blob/0123456789abcde/0",
    "fedge/v1/f/blob/0123456789abcdef/x",
    "fedge/v1/f/dev//state",
    "fedge/v1/f/job/j/up/0/\udcff",
    "fedge/v1/f/job/j/up/0/d/more",
    "fedge/v1/f/srv/a b/state",
    "fedge/v1/f/srv/a",
]


@pytest.mark.parametrize("topic", HOSTILE)
def test_a_hostile_topic_is_refused_in_one_short_line(topic: str) -> None:
    with pytest.raises(PayloadError, match="one of fleet f") as caught:
        Topics("f").read(topic)
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@given(st.text(max_size=40) | st.from_regex(r"fedge/v1/f/(dev|job|blob|srv)(/.{0,5}){0,5}"))
def test_any_text_is_read_or_refused(topic: str) -> None:
    try:
        Topics("f").read(topic)
    except PayloadError:
        return
    assert topic.startswith("fedge/v1/f/")


@pytest.mark.parametrize("topic", ["fedge/v1/f/job/j/round", "fedge/v1/f/dev/d/get"])
def test_a_topic_of_no_chunk_is_refused(topic: str) -> None:
    with pytest.raises(PayloadError, match="that of a chunk"):
        Topics("f").blob_of(topic)


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


ROOT = Path(__file__).parents[3]
# A filter's levels and wildcards are MQTT's, not ours.
NOT_OURS = {"fedge/messages/topics.py", "fedge/transport/mqtt.py"}
CUTTING = re.compile(r"topic\w*\.(split|rsplit|partition|rpartition|startswith|endswith)\b")


def test_topics_are_taken_apart_in_one_file() -> None:
    found = {
        str(file.relative_to(ROOT))
        for folder in ("fedge", "firmware_sim")
        for file in (ROOT / folder).rglob("*.py")
        if CUTTING.search(file.read_text())
    }
    assert found <= NOT_OURS
