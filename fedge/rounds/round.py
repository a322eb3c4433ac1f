"""A round: no sockets, no clock, no threads; the aggregator feeds it devices and the time."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from fedge.types import DeviceId, RoundId


class Verdict(Enum):
    """What a round says to an update, by its device, round and nonce."""

    ACCEPTED = "accepted"  # the first one of its device: it counts
    REPEATED = "repeated"  # the same one again: it counts already
    SECOND = "second"  # another one of a device that counts already
    LATE = "late"  # made for an earlier round
    UNKNOWN = "unknown"  # made for a round that was never opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """An open round.

    Laws: every device counts at most once, whatever it sends and however often;
    an accepted update stays accepted, even when its device goes; nothing but
    `receive` adds to `accepted`.

    Attributes:
        id: the round's number.
        kind: what is asked for; a word of the caller's that is not read here.
        expected: devices that are there and may still answer, or have answered.
        accepted: the nonce of each counted update.
        quorum: how many updates the round needs, at least 1, to be over at all.
        deadline_s: when waiting for the rest ends, on the caller's monotonic clock.
        lost: devices that went without an answer and did not come back.
        skipped: devices that are there and said that they cannot do this round.
    """

    id: RoundId
    kind: str
    expected: frozenset[DeviceId]
    quorum: int
    deadline_s: float
    accepted: Mapping[DeviceId, bytes] = field(default_factory=dict)
    lost: frozenset[DeviceId] = frozenset()
    skipped: frozenset[DeviceId] = frozenset()

    def receive(self, device: DeviceId, round_id: RoundId, nonce: bytes) -> tuple["Round", Verdict]:
        """The round with this update counted, if it is to be, and what became of it.

        A device that nobody expected is welcome: it came late, or its birth was lost.
        """
        verdict = self.judge(device, round_id, nonce)
        if verdict is not Verdict.ACCEPTED:
            return self, verdict
        return replace(self.join(device), accepted={**self.accepted, device: nonce}), verdict

    def judge(self, device: DeviceId, round_id: RoundId, nonce: bytes) -> Verdict:
        """What `receive` would say."""
        if round_id != self.id:
            return Verdict.LATE if round_id < self.id else Verdict.UNKNOWN
        known = self.accepted.get(device)
        if known is None:
            return Verdict.ACCEPTED
        return Verdict.REPEATED if known == nonce else Verdict.SECOND

    def join(self, device: DeviceId) -> "Round":
        """The round with this device expected."""
        if device in self.expected:
            return self
        return replace(
            self,
            expected=self.expected | {device},
            lost=self.lost - {device},
            skipped=self.skipped - {device},
        )

    def skip(self, device: DeviceId) -> "Round":
        """The round without waiting for this device, which is there and cannot do it."""
        if device in self.accepted:
            return self
        return replace(self, expected=self.expected - {device}, skipped=self.skipped | {device})

    def leave(self, device: DeviceId) -> "Round":
        """The round without waiting for this device; what it sent before still counts."""
        if device not in self.expected:
            return replace(self, skipped=self.skipped - {device})
        lost = self.lost if device in self.accepted else self.lost | {device}
        return replace(self, expected=self.expected - {device}, lost=lost)

    @property
    def has_quorum(self) -> bool:
        return len(self.accepted) >= self.quorum

    @property
    def has_failed(self) -> bool:
        """Whether everybody who is there has said that they cannot do this round."""
        return bool(self.skipped) and not self.accepted and not self.waiting_for

    @property
    def waiting_for(self) -> frozenset[DeviceId]:
        """Who is expected and has not answered."""
        return self.expected - self.accepted.keys()

    def is_over(self, now_s: float) -> bool:
        """Whether all expected devices answered, or time ran out; never below the quorum."""
        return self.has_quorum and (not self.waiting_for or now_s >= self.deadline_s)
