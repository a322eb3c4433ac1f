"""Birth and will: who is there."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from fedge.errors import PayloadError
from fedge.messages import wire
from fedge.messages.update import MAX_ROUND
from fedge.types import RoundId

INSTANCE_BYTES = 8
_MAX_BYTES = 1024
_MAX_WHY = 200  # characters


class Presence(StrEnum):
    """Whether a device or an aggregator is there."""

    ONLINE = "online"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A round that a device has not trained, and why, in a sentence."""

    round: RoundId
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """A device's retained birth, and its will.

    `instance` is drawn when the process starts: two of them under one name are
    two devices. `claim` is set when a device that is at work answers the birth of
    another instance under its name: whoever reads it must stop. `skipped` names the
    round that the device could not do, so that nobody waits for it.
    """

    presence: Presence
    instance: bytes
    software: str
    claim: bool = False
    skipped: Skipped | None = None

    def to_bytes(self) -> bytes:
        fields: dict[str, object] = {
            "v": wire.VERSION,
            "presence": self.presence.value,
            "instance": self.instance,
            "software": self.software,
            "claim": self.claim,
        }
        if self.skipped is not None:
            fields["skipped"] = [self.skipped.round, self.skipped.why[:_MAX_WHY]]
        return wire.encode(fields)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Raises PayloadError unless every field is of its type."""
        fields = wire.decode_map(
            payload,
            "device state",
            fields=("presence", "instance", "software", "claim"),
            max_bytes=_MAX_BYTES,
        )
        return cls(
            presence=_presence(fields["presence"], "device state"),
            instance=wire.octets(fields["instance"], INSTANCE_BYTES, "device instance"),
            software=wire.typed(fields["software"], str, "device software")[:64],
            claim=wire.typed(fields["claim"], bool, "device claim"),
            skipped=_skipped(fields.get("skipped")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatorState:
    """An aggregator's retained birth, and its will: devices know who listens."""

    presence: Presence
    instance: bytes
    software: str

    def to_bytes(self) -> bytes:
        return wire.encode(
            {
                "v": wire.VERSION,
                "presence": self.presence.value,
                "instance": self.instance,
                "software": self.software,
            }
        )

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Raises PayloadError unless every field is of its type."""
        fields = wire.decode_map(
            payload,
            "aggregator state",
            fields=("presence", "instance", "software"),
            max_bytes=_MAX_BYTES,
        )
        return cls(
            presence=_presence(fields["presence"], "aggregator state"),
            instance=wire.octets(fields["instance"], INSTANCE_BYTES, "aggregator instance"),
            software=wire.typed(fields["software"], str, "aggregator software")[:64],
        )


def _skipped(value: object) -> Skipped | None:
    if value is None:
        return None
    pair = wire.typed(value, list, "skipped round")
    if len(pair) != 2:
        raise PayloadError("skipped round", expected="[round, why]", found=len(pair))
    round_ = RoundId(wire.bounded(pair[0], 0, MAX_ROUND, "skipped round"))
    return Skipped(round_, wire.typed(pair[1], str, "skipped round")[:_MAX_WHY])


def _presence(value: object, what: str) -> Presence:
    word = wire.typed(value, str, what)
    try:
        return Presence(word)
    except ValueError:
        raise PayloadError(what, expected="online or offline", found=ascii(word[:40])) from None
