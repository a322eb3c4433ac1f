"""Which updates have been accepted, by round and device, and what that means for the next one."""

from collections.abc import Mapping

from fedge.aggregator.rounds.current import Current
from fedge.aggregator.state.store import Store
from fedge.rounds import Verdict
from fedge.types import DeviceId, RoundId


class Answers:
    """Nonces of accepted updates: those of recent rounds in memory, all others in the database.

    Args:
        store: the database.
        current: the open round.
    """

    def __init__(self, store: Store, current: Current) -> None:
        self._store, self._current = store, current
        # Of rounds abandoned since the last model, and of the round that made it. Updates for
        # any other round are rare enough to look up in the database.
        self._nonces: dict[RoundId, Mapping[DeviceId, bytes]] = {}

    def keep(self, round_: RoundId, accepted: Mapping[DeviceId, bytes]) -> None:
        """Remember a round that ended without a model."""
        self._nonces[round_] = accepted

    def keep_only(self, round_: RoundId, accepted: Mapping[DeviceId, bytes]) -> None:
        """Remember the round that made the latest model, and no earlier one."""
        self._nonces = {round_: accepted}

    def judge(
        self, device: DeviceId, round_: RoundId, nonce: bytes, *, last_number: int
    ) -> Verdict:
        """The verdict on an update before anyone looks at its bytes.

        An update that still waits for the next commit counts as accepted here.

        Args:
            device: who sent it.
            round_: the round it was made for.
            nonce: its nonce.
            last_number: the highest round number that was given out.
        """
        open_ = self._current.round
        if open_ is not None and round_ >= open_.id:
            waiting = self._current.pending(device)
            if waiting is None or waiting.round != round_:
                return open_.judge(device, round_, nonce)
            return Verdict.REPEATED if waiting.nonce == nonce else Verdict.SECOND
        here = self._nonces.get(round_)
        known = self._store.nonce(round_, device) if here is None else here.get(device)
        if known is None:
            return Verdict.LATE if round_ <= last_number else Verdict.UNKNOWN
        return Verdict.REPEATED if known == nonce else Verdict.SECOND

    def accepted(self, round_: RoundId) -> Mapping[DeviceId, bytes]:
        """Nonces of all accepted updates of a round, open or over."""
        open_ = self._current.round
        if open_ is not None and round_ == open_.id:
            return open_.accepted
        here = self._nonces.get(round_)
        return self._store.applied(round_) if here is None else here

    def last_accepted(self, device: DeviceId, rounds: range) -> tuple[RoundId, bytes] | None:
        """The last of these rounds that accepted an update of the device, and its nonce."""
        open_ = self._current.round
        own = {} if open_ is None else {open_.id: open_.accepted}
        here = {**self._nonces, **own}  # all later than any round found only in the database
        for round_ in sorted(here, reverse=True):
            if round_ in rounds and device in here[round_]:
                return round_, here[round_][device]
        return self._store.last_nonce(device, rounds)
