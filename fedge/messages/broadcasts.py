"""The way from the model of an earlier round to that of the current one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from fedge.errors import PayloadError
from fedge.messages import wire
from fedge.messages.skim import Kind

MAX_ROUNDS = 4096  # that one blob may cover


@dataclass(frozen=True, slots=True)
class Broadcasts:
    """How the aggregator sent its last models: one payload for each round, oldest first.

    Each is an encoded difference of the trained part. Added in this order to the model from
    that many rounds ago, they give the current one, bit for bit.

    It travels as a blob. CBOR array: version, list of payloads.
    """

    payloads: Sequence[bytes]

    def to_bytes(self) -> bytes:
        return wire.encode([wire.VERSION, list(self.payloads)])

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises PayloadError unless it is a list of at most 4096 payloads."""
        (found,) = wire.decode_array(
            data,
            "broadcasts",
            fields=(Kind.LIST,),
            max_bytes=len(data),
            max_values=MAX_ROUNDS + 2,
        )
        payloads = wire.typed(found, list, "broadcasts")
        if len(payloads) > MAX_ROUNDS:
            raise PayloadError("broadcasts", expected=f"at most {MAX_ROUNDS}", found=len(payloads))
        return cls([wire.typed(payload, bytes, "broadcasts") for payload in payloads])
