"""The topics of protocol version 1.

    fedge/v1/{fleet}/dev/{device}/state       retained birth and will of a device
    fedge/v1/{fleet}/dev/{device}/in          replies to a device
    fedge/v1/{fleet}/dev/{device}/get         a device asks for chunks of a blob
    fedge/v1/{fleet}/job/{job}/round          retained round manifest
    fedge/v1/{fleet}/job/{job}/up/{part}/{device}   updates, part = crc32(device) % parts
    fedge/v1/{fleet}/blob/{key}/{n}           chunk n of a blob, key = first 16 hex of its SHA-256
    fedge/v1/{fleet}/srv/{aggregator}/state   retained birth and will of an aggregator

Names are 1 to 64 characters of A-Z a-z 0-9 _ and -, so no topic needs escaping. Topics are
written and read here and nowhere else.
"""

import re
import zlib
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fedge.errors import ConfigError, PayloadError
from fedge.messages import wire
from fedge.messages.blob import KEY_DIGITS
from fedge.types import DeviceId, JobId

_ROOT = "fedge/v1"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY = re.compile(rf"[0-9a-f]{{{KEY_DIGITS}}}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,4}")
_UP = re.compile(
    rf"{_ROOT}/({_NAME.pattern})/job/({_NAME.pattern})/up/({_NUMBER.pattern})/({_NAME.pattern})"
)
_MOST_SHOWN = 80  # characters of a topic that is refused
ANY_AGGREGATOR = f"{_ROOT}/+/srv/+/state"  # of any fleet


def is_name(text: str) -> bool:
    """Whether this may name a fleet, a device, a job or an aggregator."""
    return _NAME.fullmatch(text) is not None


def read_job(value: object, what: str) -> JobId:
    """The value, if it is a job's name."""
    name = wire.typed(value, str, what)
    if not is_name(name):
        raise PayloadError(what, expected="1 to 64 of A-Z a-z 0-9 _ -", found=ascii(name[:80]))
    return JobId(name)


def fleet_of(topic: str) -> str | None:
    """The fleet of an aggregator's state topic; None of any other topic."""
    match topic.split("/"):
        case ["fedge", "v1", fleet, "srv", name, "state"] if is_name(fleet) and is_name(name):
            return fleet
        case _:
            return None


def part_of(device: str, parts: int) -> int:
    """The partition of a device's updates: the same on every machine, and evenly spread."""
    return zlib.crc32(device.encode()) % parts


def shape_of(topic: str) -> str:
    """The topic with + in place of what differs from device to device and from blob to blob."""
    match topic.split("/"):
        case [*root, "dev", _, last]:
            return "/".join([*root, "dev", "+", last])
        case [*root, "blob", _, _]:
            return "/".join([*root, "blob", "+", "+"])
        case [*root, "up", _, _]:
            return "/".join([*root, "up", "+", "+"])
        case _:
            return topic


@dataclass(frozen=True, slots=True)
class DeviceTopic:
    """What a device says of itself, is told, or asks for."""

    kind: Literal["state", "in", "get"]
    device: DeviceId


@dataclass(frozen=True, slots=True)
class RoundTopic:
    """The manifest of a job's round."""

    job: JobId


@dataclass(frozen=True, slots=True)
class UpTopic:
    """A device's update."""

    job: JobId
    part: int
    device: DeviceId


@dataclass(frozen=True, slots=True)
class BlobTopic:
    """A chunk of a blob."""

    key: str
    n: int


@dataclass(frozen=True, slots=True)
class AggregatorTopic:
    """What an aggregator says of itself."""

    aggregator: str


Topic: TypeAlias = DeviceTopic | RoundTopic | UpTopic | BlobTopic | AggregatorTopic


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics of one fleet."""

    fleet: str

    def __post_init__(self) -> None:
        if not is_name(self.fleet):
            raise ConfigError(f"fleet name {self.fleet!r}: use 1 to 64 of A-Z a-z 0-9 _ -")

    def device_state(self, device: str = "+") -> str:
        return f"{_ROOT}/{self.fleet}/dev/{device}/state"

    def device_in(self, device: str) -> str:
        return f"{_ROOT}/{self.fleet}/dev/{device}/in"

    def device_get(self, device: str = "+") -> str:
        return f"{_ROOT}/{self.fleet}/dev/{device}/get"

    def round(self, job: str) -> str:
        return f"{_ROOT}/{self.fleet}/job/{job}/round"

    def up(self, job: str, device: str, parts: int) -> str:
        return f"{_ROOT}/{self.fleet}/job/{job}/up/{part_of(device, parts)}/{device}"

    def up_filter(self, job: str, part: int | None = None) -> str:
        return f"{_ROOT}/{self.fleet}/job/{job}/up/{'+' if part is None else part}/+"

    def blob(self, key: str, n: int | str = "+") -> str:
        return f"{_ROOT}/{self.fleet}/blob/{key}/{n}"

    def aggregator_state(self, aggregator: str = "+") -> str:
        return f"{_ROOT}/{self.fleet}/srv/{aggregator}/state"

    def read(self, topic: str) -> Topic:
        """What a topic of this fleet is about.

        Raises:
            PayloadError: if it is none, or has a name or a number that no topic of ours has.
        """
        up = _UP.fullmatch(topic)  # the most frequent by far, so it is looked for first
        if up is not None and up[1] == self.fleet:
            return UpTopic(JobId(up[2]), int(up[3]), DeviceId(up[4]))
        prefix = f"{_ROOT}/{self.fleet}/"
        levels = topic.removeprefix(prefix).split("/") if topic.startswith(prefix) else []
        match levels:
            case ["dev", device, ("state" | "in" | "get") as kind] if is_name(device):
                return DeviceTopic(kind, DeviceId(device))
            case ["job", job, "round"] if is_name(job):
                return RoundTopic(JobId(job))
            case ["blob", key, n] if _KEY.fullmatch(key) and _NUMBER.fullmatch(n):
                return BlobTopic(key, int(n))
            case ["srv", name, "state"] if is_name(name):
                return AggregatorTopic(name)
        raise _refused(topic, f"one of fleet {self.fleet}")

    def blob_of(self, topic: str) -> BlobTopic:
        """The chunk that is published there.

        Raises:
            PayloadError: if none is.
        """
        found = self.read(topic)
        if not isinstance(found, BlobTopic):
            raise _refused(topic, "that of a chunk")
        return found


def _refused(topic: str, expected: str) -> PayloadError:
    return PayloadError("topic", expected=expected, found=ascii(topic[:_MOST_SHOWN]))
