"""Birth and will: how a process says that it is there, and the broker that it is gone."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from fedge.errors import PayloadError
from fedge.messages import wire
from fedge.messages.skim import Kind
from fedge.messages.topics import read_job
from fedge.messages.update import MAX_ROUND, RUN_BYTES
from fedge.types import JobId, RoundId

INSTANCE_BYTES = 8
_MAX_BYTES = 1024
_MAX_WHY = 200  # characters
_DEVICE = {
    "presence": Kind.TEXT,
    "instance": Kind.OCTETS,
    "software": Kind.TEXT,
    "claim": Kind.BOOLEAN,
}
_DEVICE_TOO = {
    "skipped": Kind.LIST,
    "engine": Kind.TEXT,
    "job": Kind.TEXT,
    "followed": Kind.LIST,
}
_AGGREGATOR = _DEVICE | {"job": Kind.TEXT, "run": Kind.OCTETS}


class Presence(StrEnum):
    """Whether a device or an aggregator is connected."""

    ONLINE = "online"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A round that a device does not take part in, and why, in a sentence."""

    run: bytes
    round: RoundId
    why: str


@dataclass(frozen=True, slots=True)
class Followed:
    """How far a device has followed a run of its job.

    From it an aggregator that was restored to an older state learns which round and sequence
    numbers have been given out since. `is_answered` says that the device has answered the
    round and has nothing left to send for it.
    """

    run: bytes
    round: RoundId
    sequence: int
    is_answered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """A device's retained birth, and its will.

    `instance` is drawn when the process starts: two instances under one name are
    two devices. `claim` is set when a device that is at work answers the birth of
    another instance under its name: that one must stop. `skipped` names the round
    that the device cannot do, so that nobody waits for it. `engine` is what it trains
    with. `job` is the one it trains for: no other job waits for it.
    """

    presence: Presence
    instance: bytes
    software: str
    claim: bool = False
    skipped: Skipped | None = None
    engine: str | None = None
    job: JobId | None = None  # None: an older release, which did not say
    followed: Followed | None = None  # None: it has heard of no round yet

    def to_bytes(self) -> bytes:
        fields: dict[str, object] = {
            "v": wire.VERSION,
            "presence": self.presence.value,
            "instance": self.instance,
            "software": self.software,
            "claim": self.claim,
        }
        if self.skipped is not None:
            fields["skipped"] = [self.skipped.run, self.skipped.round, self.skipped.why[:_MAX_WHY]]
        if self.engine is not None:
            fields["engine"] = self.engine
        if self.job is not None:
            fields["job"] = self.job
        if self.followed is not None:
            seen = self.followed
            fields["followed"] = [seen.run, seen.round, seen.sequence, seen.is_answered]
        return wire.encode(fields)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Raises PayloadError unless every field is of its type."""
        fields = wire.decode_map(
            payload,
            "device state",
            fields=_DEVICE,
            optional=_DEVICE_TOO,
            max_bytes=_MAX_BYTES,
        )
        return cls(
            presence=_presence(fields["presence"], "device state"),
            instance=wire.octets(fields["instance"], INSTANCE_BYTES, "device instance"),
            software=wire.typed(fields["software"], str, "device software")[:64],
            claim=wire.typed(fields["claim"], bool, "device claim"),
            skipped=_skipped(fields.get("skipped")),
            engine=_engine(fields.get("engine")),
            job=None if fields.get("job") is None else read_job(fields["job"], "device job"),
            followed=_followed(fields.get("followed")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatorState:
    """An aggregator's retained birth, and its will, by which devices know that it listens.

    Two aggregators that run the same job find out just as two devices with one name do.
    """

    presence: Presence
    instance: bytes
    software: str
    job: JobId
    run: bytes
    claim: bool = False

    def to_bytes(self) -> bytes:
        return wire.encode(
            {
                "v": wire.VERSION,
                "presence": self.presence.value,
                "instance": self.instance,
                "software": self.software,
                "job": self.job,
                "run": self.run,
                "claim": self.claim,
            }
        )

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Raises PayloadError unless every field is of its type."""
        fields = wire.decode_map(
            payload,
            "aggregator state",
            fields=_AGGREGATOR,
            max_bytes=_MAX_BYTES,
        )
        return cls(
            presence=_presence(fields["presence"], "aggregator state"),
            instance=wire.octets(fields["instance"], INSTANCE_BYTES, "aggregator instance"),
            software=wire.typed(fields["software"], str, "aggregator software")[:64],
            job=read_job(fields["job"], "aggregator job"),
            run=wire.octets(fields["run"], RUN_BYTES, "aggregator run"),
            claim=wire.typed(fields["claim"], bool, "aggregator claim"),
        )


def _followed(value: object) -> Followed | None:
    if value is None:
        return None
    fields = wire.typed(value, list, "followed round")
    if len(fields) != 4:
        found = len(fields)
        raise PayloadError("followed round", expected="[run, round, sequence, done]", found=found)
    run, round_, sequence, is_answered = fields
    return Followed(
        wire.octets(run, RUN_BYTES, "followed round"),
        RoundId(wire.bounded(round_, 0, MAX_ROUND, "followed round")),
        wire.bounded(sequence, 0, 2**63 - 1, "followed round"),
        wire.typed(is_answered, bool, "followed round"),
    )


def _skipped(value: object) -> Skipped | None:
    if value is None:
        return None
    fields = wire.typed(value, list, "skipped round")
    if len(fields) != 3:
        raise PayloadError("skipped round", expected="[run, round, why]", found=len(fields))
    run, round_, why = fields
    return Skipped(
        wire.octets(run, RUN_BYTES, "skipped round"),
        RoundId(wire.bounded(round_, 0, MAX_ROUND, "skipped round")),
        wire.typed(why, str, "skipped round")[:_MAX_WHY],
    )


def _engine(value: object) -> str | None:
    return None if value is None else wire.typed(value, str, "device engine")[:64]


def _presence(value: object, what: str) -> Presence:
    word = wire.typed(value, str, what)
    try:
        return Presence(word)
    except ValueError:
        raise PayloadError(what, expected="online or offline", found=ascii(word[:40])) from None
