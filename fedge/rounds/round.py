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


CALM_S = 2.0  # a device that is said to be gone, and is not, says so by then


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """An open round.

    Laws: every device counts at most once, whatever it sends and however often;
    an accepted update stays accepted, even when its device goes; nothing but
    `receive` adds to `accepted`; a device is in at most one of `expected`,
    `lost`, `skipped` and `refused`.

    That a device goes or cannot do the round is what a message says, and anybody may have
    sent it. So no round ends before the deadline within `CALM_S` of such a message: the
    device itself contradicts by then, and is expected again.

    Attributes:
        id: the round's number.
        kind: what is asked for; a word of the caller's that is not read here.
        expected: devices that are there and may still answer, or have answered.
        accepted: the nonce of each counted update.
        quorum: how many updates the round needs, at least 1, to be over at all.
        deadline_s: when waiting for the rest ends, on the caller's monotonic clock.
        lost: devices that went without an answer and did not come back.
        skipped: devices that are there and cannot do this round, each with the reason.
        refused: devices whose update of this round was refused for good, each with the reason.
        calm_at_s: when nobody is left to contradict.
    """

    id: RoundId
    kind: str
    expected: frozenset[DeviceId]
    quorum: int
    deadline_s: float
    accepted: Mapping[DeviceId, bytes] = field(default_factory=dict)
    lost: frozenset[DeviceId] = frozenset()
    skipped: Mapping[DeviceId, str] = field(default_factory=dict)
    refused: Mapping[DeviceId, str] = field(default_factory=dict)
    calm_at_s: float = float("-inf")

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
        return replace(self._without(device), expected=self.expected | {device})

    def skip(self, device: DeviceId, why: str, now_s: float) -> "Round":
        """The round without waiting for this device, which is there and cannot do it."""
        if device in self.accepted or device in self.skipped:
            return self
        skipped = {**self.skipped, device: why}
        return replace(self._without(device), skipped=skipped, calm_at_s=now_s + CALM_S)

    def refuse(self, device: DeviceId, why: str) -> "Round":
        """The round without waiting for this device, whose answer to it was refused for good."""
        if device in self.accepted:
            return self
        return replace(self._without(device), refused={**self.refused, device: why})

    def leave(self, device: DeviceId, now_s: float) -> "Round":
        """The round without waiting for this device; what it sent before still counts."""
        if device not in self.expected:
            return replace(self, skipped=_without(self.skipped, device))
        if device in self.accepted:
            return self._without(device)
        lost = self.lost | {device}
        return replace(self._without(device), lost=lost, calm_at_s=now_s + CALM_S)

    def give_up(self, device: DeviceId) -> "Round":
        """The round without waiting for a device that has been silent for too long."""
        return replace(self._without(device), lost=self.lost | {device})

    @property
    def has_quorum(self) -> bool:
        return len(self.accepted) >= self.quorum

    @property
    def waiting_for(self) -> frozenset[DeviceId]:
        """Who is expected and has not answered."""
        return self.expected - self.accepted.keys()

    @property
    def missing(self) -> dict[DeviceId, str]:
        """Every device that was asked and is not counted, with the reason, in device order."""
        reasons = {
            **dict.fromkeys(self.waiting_for, "silent"),
            **dict.fromkeys(self.lost - self.accepted.keys(), "gone"),
            **{device: f"cannot do it: {why}" for device, why in self.skipped.items()},
            **{device: f"refused: {why}" for device, why in self.refused.items()},
        }
        return dict(sorted(reasons.items()))

    def has_failed(self, now_s: float) -> bool:
        """Whether all who are there have answered, and none of the answers counts."""
        is_refusal = bool(self.skipped or self.refused)
        return is_refusal and not self.accepted and self._is_settled(now_s)

    def is_over(self, now_s: float) -> bool:
        """Whether all expected devices answered, or time ran out; never below the quorum."""
        return self.has_quorum and (self._is_settled(now_s) or now_s >= self.deadline_s)

    def _is_settled(self, now_s: float) -> bool:
        return not self.waiting_for and now_s >= self.calm_at_s

    def _without(self, device: DeviceId) -> "Round":
        return replace(
            self,
            expected=self.expected - {device},
            lost=self.lost - {device},
            skipped=_without(self.skipped, device),
            refused=_without(self.refused, device),
        )


def _without(reasons: Mapping[DeviceId, str], device: DeviceId) -> Mapping[DeviceId, str]:
    if device not in reasons:
        return reasons
    return {other: why for other, why in reasons.items() if other != device}
