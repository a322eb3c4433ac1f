"""A round, without sockets, clock or threads: its owner passes in what happens and the time."""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Enum, IntEnum, auto
from types import MappingProxyType

from fedge.types import DeviceId, RoundId


class Verdict(Enum):
    """A round's verdict on an update, by its device, round and nonce."""

    ACCEPTED = "accepted"  # the device's first: it counts
    REPEATED = "repeated"  # the same update again: it counts already
    SECOND = "second"  # another update of a device that has one that counts
    LATE = "late"  # made for an earlier round
    UNKNOWN = "unknown"  # made for a round that was never opened


class _Standing(IntEnum):
    """A device's standing. It has at most one, so that no two can contradict each other."""

    EXPECTED = auto()  # it may still answer, or has answered
    LOST = auto()  # it left without an answer and has not come back
    SKIPPED = auto()  # it is online and cannot do this round
    REFUSED = auto()  # its update was refused for good


_Place = tuple[_Standing, str]  # and the reason
_EXPECTED: _Place = (_Standing.EXPECTED, "silent")
_LOST: _Place = (_Standing.LOST, "gone")
_SAID = {_Standing.SKIPPED: "cannot do it: ", _Standing.REFUSED: "refused: "}

CALM_S = 2.0  # a device wrongly reported gone has contradicted by then


class Round:
    """An open round: a mutable value whose one owner alone calls its transitions.

    Laws: every device counts at most once, whatever it sends and however often;
    an accepted update stays accepted, even when its device leaves; nothing but
    `receive` adds to `accepted`; a device is in at most one of `expected`,
    `lost`, `skipped` and `refused`, and an accepted device in none but `expected`;
    no transition or query takes longer in a round with more devices, except for
    `expected`, `lost`, `skipped`, `refused`, `waiting_for` and `missing`, which list them.

    That a device has left or cannot do the round is only what a message claims, and anyone may
    have sent it. So no round ends before the deadline within `CALM_S` of such a message: by
    then the device itself has contradicted it, and is expected again.

    A transition returns whether it is worth reporting: it changed what the round waits for, or
    the reason why a device is missing.

    Args:
        id: the round's number.
        kind: what devices are asked for; a word of the caller's that is not interpreted here.
        expected: devices that are online and may still answer, or have answered.
        quorum: how many updates, at least 1, the round needs before it can be over.
        deadline_s: when to stop waiting for the rest, on the caller's monotonic clock.
        accepted: the nonces of updates that count already.

    Attributes:
        calm_at_s: when no contradiction is to be expected any more.
    """

    __slots__ = ("_accepted", "_n_missing", "_places", "calm_at_s", "deadline_s", "id", "kind",
                 "quorum")  # fmt: skip

    def __init__(
        self,
        *,
        id: RoundId,  # noqa: A002 - called so everywhere
        kind: str,
        expected: Iterable[DeviceId],
        quorum: int,
        deadline_s: float,
        accepted: Mapping[DeviceId, bytes] = MappingProxyType({}),
    ) -> None:
        self.id, self.kind, self.quorum = id, kind, quorum
        self.deadline_s, self.calm_at_s = deadline_s, float("-inf")
        self._accepted = dict(accepted)
        self._places: dict[DeviceId, _Place] = dict.fromkeys(expected, _EXPECTED)
        # Devices without an accepted update, by where they stand.
        n_waiting = len(self._places.keys() - self._accepted.keys())
        self._n_missing = Counter({_Standing.EXPECTED: n_waiting})
        self._places.update(dict.fromkeys(self._accepted, _EXPECTED))

    def receive(self, device: DeviceId, round_id: RoundId, nonce: bytes) -> Verdict:
        """Count this update if it is acceptable; the verdict.

        An unexpected device is welcome: it came late, or its birth was lost.
        """
        verdict = self.judge(device, round_id, nonce)
        if verdict is Verdict.ACCEPTED:
            self._move(device, None)
            self._places[device] = _EXPECTED
            self._accepted[device] = nonce
        return verdict

    def judge(self, device: DeviceId, round_id: RoundId, nonce: bytes) -> Verdict:
        """The verdict that `receive` would return."""
        if round_id != self.id:
            return Verdict.LATE if round_id < self.id else Verdict.UNKNOWN
        known = self._accepted.get(device)
        if known is None:
            return Verdict.ACCEPTED
        return Verdict.REPEATED if known == nonce else Verdict.SECOND

    def join(self, device: DeviceId) -> bool:
        """Expect this device."""
        return self._move(device, _EXPECTED)

    def appear(self, device: DeviceId) -> bool:
        """Expect this device, which came online, unless it was refused: that was its answer."""
        place = self._places.get(device)
        return (place is None or place[0] is not _Standing.REFUSED) and self.join(device)

    def skip(self, device: DeviceId, why: str, now_s: float) -> bool:
        """Stop waiting for this device, which is online and cannot do the round."""
        place = self._places.get(device)
        if device in self._accepted or (place is not None and place[0] is _Standing.SKIPPED):
            return False
        self.calm_at_s = now_s + CALM_S
        return self._move(device, (_Standing.SKIPPED, why))

    def refuse(self, device: DeviceId, why: str) -> bool:
        """Stop waiting for this device, whose answer was refused for good."""
        return device not in self._accepted and self._move(device, (_Standing.REFUSED, why))

    def leave(self, device: DeviceId, now_s: float) -> bool:
        """Stop waiting for this device; what it sent before still counts."""
        place = self._places.get(device)
        if device in self._accepted:
            self._places.pop(device, None)
            return False
        if place is _EXPECTED:
            self.calm_at_s = now_s + CALM_S
            return self._move(device, _LOST)
        if place is not None and place[0] is _Standing.SKIPPED:
            self._move(device, None)
        return False  # the round was not waiting for it

    def give_up(self, device: DeviceId) -> bool:
        """Stop waiting for a device that has been silent for too long."""
        return device not in self._accepted and self._move(device, _LOST)

    def postpone(self, seconds: float) -> bool:
        """Move the deadline back by this long, in which no device could be reached."""
        self.deadline_s += seconds
        return seconds > 0

    def hasten(self, deadline_s: float) -> bool:
        """Bring the deadline forward to this time, unless it is sooner already."""
        is_sooner = deadline_s < self.deadline_s
        self.deadline_s = min(self.deadline_s, deadline_s)
        return is_sooner

    @property
    def accepted(self) -> Mapping[DeviceId, bytes]:
        """The nonce of each counted update; a view, not a copy."""
        return MappingProxyType(self._accepted)

    @property
    def n_accepted(self) -> int:
        return len(self._accepted)

    @property
    def n_waiting(self) -> int:
        """How many devices are expected and have not answered."""
        return self._n_missing[_Standing.EXPECTED]

    @property
    def n_asked(self) -> int:
        """How many devices are counted or missing."""
        return len(self._accepted) + self._n_missing.total()

    @property
    def n_lost(self) -> int:
        return self._n_missing[_Standing.LOST]

    @property
    def n_skipped(self) -> int:
        return self._n_missing[_Standing.SKIPPED]

    @property
    def has_quorum(self) -> bool:
        return len(self._accepted) >= self.quorum

    @property
    def expected(self) -> frozenset[DeviceId]:
        """Devices that are online and may still answer, or have answered."""
        return self._those(_Standing.EXPECTED)

    @property
    def lost(self) -> frozenset[DeviceId]:
        """Devices that left without an answer and have not come back."""
        return self._those(_Standing.LOST)

    @property
    def skipped(self) -> dict[DeviceId, str]:
        """Devices that are online and cannot do this round, and why."""
        return self._reasons(_Standing.SKIPPED)

    @property
    def refused(self) -> dict[DeviceId, str]:
        """Devices whose update for this round was refused for good, and why."""
        return self._reasons(_Standing.REFUSED)

    @property
    def waiting_for(self) -> frozenset[DeviceId]:
        """Devices that are expected and have not answered."""
        return self.expected - self._accepted.keys()

    @property
    def missing(self) -> dict[DeviceId, str]:
        """Every device that was asked and is not counted, with the reason, in device order."""
        return {
            device: _SAID.get(standing, "") + why
            for device, (standing, why) in sorted(self._places.items(), key=lambda one: one[0])
            if device not in self._accepted
        }

    def has_failed(self, now_s: float) -> bool:
        """Whether all devices online have answered, and none of the answers counts."""
        n_refusals = self._n_missing[_Standing.SKIPPED] + self._n_missing[_Standing.REFUSED]
        return n_refusals > 0 and not self._accepted and self._is_settled(now_s)

    def is_over(self, now_s: float) -> bool:
        """Whether all expected devices answered or the deadline passed; never below the quorum."""
        return self.has_quorum and (self._is_settled(now_s) or now_s >= self.deadline_s)

    def _is_settled(self, now_s: float) -> bool:
        return not self.n_waiting and now_s >= self.calm_at_s

    def _those(self, standing: _Standing) -> frozenset[DeviceId]:
        return frozenset(one for one, place in self._places.items() if place[0] is standing)

    def _reasons(self, standing: _Standing) -> dict[DeviceId, str]:
        return {one: place[1] for one, place in self._places.items() if place[0] is standing}

    def _move(self, device: DeviceId, to: _Place | None) -> bool:
        """Change the standing of this device; None removes it from the list."""
        place = self._places.get(device)
        if place == to:
            return False
        if place is not None:
            del self._places[device]
        if to is not None:
            self._places[device] = to
        if device not in self._accepted:
            if place is not None:
                self._n_missing[place[0]] -= 1
            if to is not None:
                self._n_missing[to[0]] += 1
        return True
