"""The aggregator's answer to an update."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TypeAlias

from fedge.errors import PayloadError
from fedge.messages import wire
from fedge.messages.blob import MAX_RANGE_VALUES, read_ranges
from fedge.messages.chunks import Range
from fedge.messages.skim import Kind
from fedge.messages.topics import read_job
from fedge.messages.update import MAX_ROUND, NONCE_BYTES
from fedge.types import JobId, RoundId

_MAX_BYTES = 4096
_MAX_DETAIL = 500
_NOTHING = b"\xf6"  # CBOR's null
_FIELDS = (Kind.TEXT, Kind.TEXT, Kind.INTEGER, Kind.OCTETS, Kind.LIST_OR_NOTHING)


class Reason(StrEnum):
    """Why an update was refused. All but `DAMAGED` are final for this update."""

    DAMAGED = "damaged"  # the bytes changed on the way: send them again
    PAYLOAD = "payload"  # the bytes arrived as sent and cannot be decoded
    SCHEMA = "schema"  # made for another model
    LATE = "late"  # the round is over
    OTHER_RUN = "other_run"  # made for a job of the same name that began earlier or elsewhere
    UNKNOWN_ROUND = "unknown_round"  # the aggregator never opened this round
    SECOND = "second"  # another update from this device for this round was accepted
    TOO_LARGE = "too_large"

    @property
    def is_final(self) -> bool:
        """Whether sending the same bytes again is pointless."""
        return self is not Reason.DAMAGED


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The update is on the aggregator's disk and will be counted once."""

    job: JobId
    round: RoundId
    nonce: bytes

    def to_bytes(self) -> bytes:
        if len(self.nonce) != NONCE_BYTES:
            return _encode("accepted", self, None)
        return _before_nonce(self.job, self.round) + self.nonce + _NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The update was not accepted: the reason, in a word and in a sentence."""

    job: JobId
    round: RoundId
    nonce: bytes
    reason: Reason
    detail: str = ""

    def to_bytes(self) -> bytes:
        return _encode("refused", self, [self.reason.value, self.detail[:_MAX_DETAIL]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """These chunks of the update have not arrived."""

    job: JobId
    round: RoundId
    nonce: bytes
    ranges: tuple[Range, ...]

    def to_bytes(self) -> bytes:
        return _encode("missing", self, [list(span) for span in self.ranges])


Reply: TypeAlias = Accepted | Refused | Missing


def decode_reply(payload: bytes) -> Reply:
    """Read a reply. CBOR array: version, kind, job, round, nonce, and what the kind needs.

    Raises:
        PayloadError: if it is not a reply that this version knows.
    """
    kind, job, round_, nonce, rest = wire.decode_array(
        payload, "reply", fields=_FIELDS, max_bytes=_MAX_BYTES, max_values=MAX_RANGE_VALUES
    )
    job = read_job(job, "reply job")
    round_ = RoundId(wire.bounded(round_, 0, MAX_ROUND, "reply round"))
    nonce = wire.octets(nonce, NONCE_BYTES, "reply nonce")
    match kind:
        case "accepted":
            return Accepted(job=job, round=round_, nonce=nonce)
        case "missing":
            ranges = read_ranges(rest, "missing chunks")
            return Missing(job=job, round=round_, nonce=nonce, ranges=ranges)
        case "refused":
            reason, detail = _read_refusal(rest)
            return Refused(job=job, round=round_, nonce=nonce, reason=reason, detail=detail)
        case _:
            found = ascii(kind)[:40]
            raise PayloadError("reply", expected="accepted, refused or missing", found=found)


def _read_refusal(rest: object) -> tuple[Reason, str]:
    pair = wire.typed(rest, list, "refusal")
    if len(pair) != 2:
        raise PayloadError("refusal", expected="reason and detail", found=len(pair))
    word, detail = (wire.typed(text, str, "refusal") for text in pair)
    try:
        return Reason(word), detail[:_MAX_DETAIL]
    except ValueError:
        expected = ", ".join(reason.value for reason in Reason)
        raise PayloadError("refusal", expected=expected, found=ascii(word[:40])) from None


@lru_cache(maxsize=16, typed=True)
def _before_nonce(job: JobId, round_: RoundId) -> bytes:
    """What all devices' `Accepted` of one round have in common: only nonce and nothing follow."""
    example = _encode("accepted", Accepted(job=job, round=round_, nonce=bytes(NONCE_BYTES)), None)
    return example[: -NONCE_BYTES - len(_NOTHING)]


def _encode(kind: str, reply: Reply, rest: object) -> bytes:
    return wire.encode([wire.VERSION, kind, reply.job, reply.round, reply.nonce, rest])
