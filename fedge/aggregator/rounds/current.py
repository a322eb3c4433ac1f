"""The open round and everything that changes it, applied one commit at a time."""

from collections.abc import Callable, Iterable
from typing import Any

from fedge.aggregator.state.records import RoundRecord, Tally, UpdateRecord
from fedge.aggregator.state.store import Store
from fedge.rounds import Round
from fedge.types import DeviceId

_LEAST_S = 5.0  # for devices to resend what was under way when the previous process ended

_Transition = tuple[Callable[..., object], tuple[Any, ...], Callable[[], None] | None]


class Current:
    """The open round, if there is one, and its only writer.

    Changes reported by messages wait for `commit`, which makes the updates among them durable
    and only then applies all changes to the round, in the order they came: the round never
    counts an update that is not on the disk. Changes that arrive between two rounds are dropped.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._round: Round | None = None
        self._pending: dict[DeviceId, UpdateRecord] = {}
        self._transitions: list[_Transition] = []

    @property
    def round(self) -> Round | None:
        """The open round, or None between rounds; for reading only."""
        return self._round

    @property
    def has_pending(self) -> bool:
        """Whether updates wait for `commit`."""
        return bool(self._pending)

    def pending(self, device: DeviceId) -> UpdateRecord | None:
        """The update of this device that waits for `commit`."""
        return self._pending.get(device)

    def begin(
        self,
        record: RoundRecord,
        accepted: dict[DeviceId, bytes],
        *,
        deadline_s: float,
        now_s: float,
    ) -> None:
        """Open a round, or open one again that an earlier process left.

        Args:
            record: the round's row; its quorum is the one to close with.
            accepted: nonces of the updates it has accepted so far.
            deadline_s: how long a round may take, of which `record.spent_s` has passed.
            now_s: the time on the monotonic clock.
        """
        left_s = deadline_s - record.spent_s
        least_s = min(_LEAST_S, deadline_s) if record.spent_s else 0.0
        self._round = Round(
            id=record.round,
            kind=record.kind,
            expected=record.expected | accepted.keys(),
            accepted=accepted,
            quorum=record.quorum,
            deadline_s=now_s + max(left_s, least_s),
        )

    def end(self) -> None:
        """The round is over, whether or not it made a model."""
        self._round = None

    def receive(self, update: UpdateRecord) -> None:
        """Take an update that was judged accepted; it counts after the next commit."""
        self._pending[update.device] = update
        self._note(Round.receive, update.device, update.round, update.nonce)

    def join(self, device: DeviceId) -> None:
        """A device gave a sign of life."""
        self._note(Round.join, device)

    def appear(self, device: DeviceId) -> None:
        """A device has come online."""
        self._note(Round.appear, device)

    def skip(
        self, device: DeviceId, why: str, now_s: float, *, tell: Callable[[], None] | None = None
    ) -> None:
        """A device cannot do the round; `tell` is called if that is news."""
        self._note(Round.skip, device, why, now_s, tell=tell)

    def leave(self, device: DeviceId, now_s: float, *, tell: Callable[[], None]) -> None:
        """A device has gone offline; `tell` is called if the round was waiting for it."""
        self._note(Round.leave, device, now_s, tell=tell)

    def refuse(self, device: DeviceId, why: str) -> None:
        """A device's update for the round was refused for good."""
        self._note(Round.refuse, device, why)

    def postpone(self, seconds: float) -> None:
        """No device could be reached for this long."""
        self._note(Round.postpone, seconds)

    def commit(self, tally: Tally | None) -> list[UpdateRecord]:
        """Apply everything that has come since the last commit.

        Args:
            tally: the counts since then, to be stored too; required if `has_pending`.

        Returns:
            The updates, which are now accepted and durable.
        """
        updates = list(self._pending.values())
        if tally is not None:
            self._store.accept(updates, tally)
        self._pending.clear()
        transitions, self._transitions = self._transitions, []
        for transition, arguments, tell in transitions:
            if transition(self._round, *arguments) and tell is not None:
                tell()
        return updates

    def hasten(self, deadline_s: float) -> None:
        """Bring the deadline forward to this time, unless it is sooner already."""
        if self._round is not None:
            self._round.hasten(deadline_s)

    def lose(self, devices: Iterable[DeviceId]) -> None:
        """Stop waiting for these devices, which have been silent for too long."""
        for device in devices:
            if self._round is not None:
                self._round.give_up(device)

    def _note(
        self,
        transition: Callable[..., object],
        *arguments: object,
        tell: Callable[[], None] | None = None,
    ) -> None:
        if self._round is not None:
            self._transitions.append((transition, arguments, tell))
