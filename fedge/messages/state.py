"""Birth and will: who is there."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from fedge.errors import PayloadError
from fedge.messages import wire

INSTANCE_BYTES = 8
_MAX_BYTES = 1024


class Presence(StrEnum):
    """Whether a device or an aggregator is there."""

    ONLINE = "online"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """A device's retained birth, and its will.

    `instance` is drawn when the process starts: two of them under one name are
    two devices. `claim` is set when a device that is at work answers the birth of
    another instance under its name: whoever reads it must stop.
    """

    presence: Presence
    instance: bytes
    software: str
    claim: bool = False

    def to_bytes(self) -> bytes:
        return wire.encode(
            {
                "v": wire.VERSION,
                "presence": self.presence.value,
                "instance": self.instance,
                "software": self.software,
                "claim": self.claim,
            }
        )

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


def _presence(value: object, what: str) -> Presence:
    word = wire.typed(value, str, what)
    try:
        return Presence(word)
    except ValueError:
        raise PayloadError(what, expected="online or offline", found=ascii(word[:40])) from None
