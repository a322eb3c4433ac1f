"""What devices announce about themselves, and what it means for the open round."""

from functools import partial

from fedge.aggregator.reception.fleet import Fleet
from fedge.aggregator.reporting.log import Reporter
from fedge.aggregator.rounds.context import Context
from fedge.aggregator.rounds.job import Job
from fedge.messages import DeviceState, RoundManifest
from fedge.rounds import Round
from fedge.types import DeviceId

# How far a job may have got since its directory was backed up; a claim beyond that is a lie, and
# numbers are finite. It is counted from the start of the process: a directory is restored while
# no process is using it.
_MOST_ROUNDS = 100_000
_MOST_SEQUENCES = 10 * _MOST_ROUNDS
_ANSWERED = "it has answered already, but not to this aggregator as it is now"


class Births:
    """Handles births, wills and manifests as they arrive.

    Attributes:
        fleet: the devices that are online.
    """

    def __init__(self, context: Context, job: Job, reporter: Reporter) -> None:
        self._on, self._job, self._reporter = context, job, reporter
        self._monotonic = context.clock.monotonic
        config = context.config
        self.fleet = Fleet(
            job.id, context.store.silent(), patience=config.max_missed, most=config.max_devices
        )
        self._ahead: tuple[int, int] | None = None
        self._leapt_at_s = float("-inf")
        self._most = job.last_number + _MOST_ROUNDS, job.sequence + _MOST_SEQUENCES

    def take_ahead(self) -> tuple[int, int] | None:
        """The highest round and sequence number seen, if they are beyond this directory's own.

        At most once per deadline: each costs the open round, and anyone may claim one.
        """
        now_s = self._monotonic()
        if self._ahead is None or now_s - self._leapt_at_s < self._on.config.deadline_s:
            return None
        ahead, self._ahead, self._leapt_at_s = self._ahead, None, now_s
        return ahead

    def look(self, payload: bytes) -> None:
        """A manifest of this job, published by this process or an earlier one.

        Raises:
            PayloadError: if it is not a manifest.
        """
        if payload:
            manifest = RoundManifest.from_bytes(payload)
            if (manifest.job, manifest.run) == (self._job.id, self._job.run):
                self._compare(manifest.round, manifest.sequence)

    def hear(self, device: DeviceId, state: DeviceState | None, *, is_retained: bool) -> None:
        """A device's state; None if it was cleared by hand, which means it has gone offline."""
        if not is_retained:
            self.fleet.notice(device)
        followed = None if state is None else state.followed
        if followed is not None and followed.run == self._job.run:
            self._compare(followed.round, followed.sequence)
        n_before = self.fleet.n_crowded_out
        is_there = self.fleet.drop(device) if state is None else self.fleet.hear(device, state)
        if self.fleet.n_crowded_out > n_before:
            self._reporter.crowded(self._on.config.max_devices, self._monotonic())
        if self._job.round is not None and is_there is not None:
            self._place(self._job.round, device, state if is_there else None)

    def notice(self, device: DeviceId) -> None:
        """A sign of life; a device that was no longer waited for is expected again."""
        if self.fleet.notice(device):
            self._job.current.join(device)

    def _compare(self, number: int, sequence: int) -> None:
        """Numbers given out in this run, which may be later than any known here."""
        if sequence <= self._job.sequence:
            return
        if number > self._most[0] or sequence > self._most[1]:
            what = f"round {number} with sequence {sequence}: no such round was opened"
            self._reporter.ignored(what, self._monotonic())
            return
        known = self._ahead or (-1, -1)
        self._ahead = max(known[0], number), max(known[1], sequence)

    def _place(self, round_: Round, device: DeviceId, state: DeviceState | None) -> None:
        """A device came or went while this round is open, or said that it cannot do it."""
        now_s = self._monotonic()
        if state is None:
            gone = partial(self._reporter.gone, device, round_.id, now_s)
            self._job.current.leave(device, now_s, tell=gone)
            return
        this = self._job.run, round_.id
        skipped, followed = state.skipped, state.followed
        is_answered = followed is not None and followed.is_answered
        if skipped is not None and (skipped.run, skipped.round) == this:
            skips = partial(self._reporter.skipped, device, skipped, now_s)
            self._job.current.skip(device, skipped.why, now_s, tell=skips)
        elif followed is not None and is_answered and (followed.run, followed.round) == this:
            self._job.current.skip(device, _ANSWERED, now_s)
        else:
            self._job.current.appear(device)
