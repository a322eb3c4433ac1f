"""The course of a job: rounds close, others open, and the devices are told."""

from fedge.aggregator.link.session import Session
from fedge.aggregator.reception.router import Router
from fedge.aggregator.reporting.log import Reporter
from fedge.aggregator.rounds.context import Context
from fedge.aggregator.rounds.job import Job
from fedge.aggregator.rounds.summary import outcome
from fedge.errors import TrainingError
from fedge.messages import RoundKind
from fedge.rounds import Round
from fedge.types import RoundId

_FLUSH_S = 5.0
_AT_ONCE = 3  # failed rounds in a row; after them the next one waits for the deadline
_SAVES = 20  # how often per deadline the time spent is stored


class Scheduler:
    """Decides what happens next, starting from where the last process stopped.

    Attributes:
        is_finished: whether the job is finished and the devices know it.
    """

    def __init__(self, context: Context, job: Job, router: Router, reporter: Reporter) -> None:
        self._on, self._job, self._router, self._reporter = context, job, router, reporter
        self._enough = context.config.enough()
        self._is_told = self._is_between_told = False
        self._n_failed = 0  # how many rounds in a row no device could do
        self._unlinked_s: float | None = context.clock.monotonic()
        self._lapse_s = self._kept_s = float("-inf")
        self._asked_s = context.clock.monotonic()
        # Rounds at whose close silent devices are not counted: they had less time than the
        # deadline, or were counted already when it passed.
        self._hurried = self._overran = RoundId(-1)
        self.is_finished = False
        record = context.store.job()
        self._is_announced = job.is_finished and record is not None and record.is_announced
        if self._is_announced:
            reporter.info(
                f"job {context.config.job} is finished; the devices will be told once more; "
                "raise --rounds to continue it, or start afresh with another --state-dir"
            )

    def tell_again(self) -> None:
        """Some devices may not know the manifest, or may have been told otherwise."""
        self._is_told = False

    def unlink(self) -> None:
        """The link is down: no device can answer, so the deadline's clock stops."""
        if self._unlinked_s is None:
            self._unlinked_s = self._on.clock.monotonic()

    def link(self) -> None:
        """The link is up: the deadline's clock resumes."""
        if self._unlinked_s is None:
            return
        paused_s = self._on.clock.monotonic() - self._unlinked_s
        self._unlinked_s = None
        self._job.current.postpone(paused_s)

    def advance(self, session: Session) -> None:
        """Close the round if it is over, then do whatever comes next."""
        if not session.may_tell:
            return
        self._look_back()
        if not self._is_told and self._job.manifest is not None:
            session.tell(self._job.manifest)
        self._is_told = True
        if self._job.round is not None:
            self._go_on(self._job.round, session)
        if self._job.round is None:
            self._follow(session)

    def _look_back(self) -> None:
        """Check whether devices are ahead: then this directory was restored to an older state."""
        seen = self._router.births.take_ahead()
        if seen is not None and self._job.leap(*seen):
            self._is_told = self._is_between_told = False
            self._reporter.put_back(*seen)

    def _go_on(self, round_: Round, session: Session) -> None:
        now_s = self._on.clock.monotonic()
        self._spend(round_, now_s)
        self._hurry(round_, now_s)
        if round_.is_over(now_s):
            self._n_failed = 0
            self._close(round_, session)
        elif round_.kind == RoundKind.EVALUATION and _is_spent(round_, now_s):
            self._close(round_, session)
        elif round_.has_failed(now_s):
            self._fail(round_, now_s)
        elif now_s >= round_.deadline_s:
            self._overrun(round_, now_s)

    def _hurry(self, round_: Round, now_s: float) -> None:
        """Bring the deadline forward once enough updates are in."""
        if self._enough is not None and self._enough.is_reached(round_):
            self._hurried = round_.id
            self._job.current.hasten(now_s + self._on.config.close_grace_s)

    def _fail(self, round_: Round, now_s: float) -> None:
        """No device could do the round: try another, which draws other examples."""
        if self._n_failed + 1 == self._on.config.give_up_after:
            raise TrainingError(
                f"no device could do round {round_.id}; rounds have failed "
                f"{self._n_failed + 1} times in a row: {next(iter(round_.missing.values()), '')}"
            )
        if self._n_failed + 1 >= _AT_ONCE and now_s < round_.deadline_s:
            self._reporter.nobody(round_, now_s)
            return
        self._n_failed += 1
        self._give_up(round_, "no device could do it")

    def _overrun(self, round_: Round, now_s: float) -> None:
        """The deadline passed below the quorum: keep waiting while a device may answer, or retry.

        Each further deadline that passes counts as a round that the silent devices have missed.
        If all remaining devices have answered but their answers do not count (for example
        because they went to an aggregator that was restored since), a new round asks them again.
        """
        self._reporter.below_quorum(round_, now_s)
        if self._overran != round_.id:
            self._overran, self._lapse_s = round_.id, now_s
        if now_s < self._lapse_s:
            return
        self._lapse_s = now_s + self._on.config.deadline_s
        self._is_told = False  # the broker may have lost it on the way to some devices
        fleet = self._router.births.fleet
        self._job.current.lose(fleet.miss(round_.waiting_for))
        if fleet.has_changed():
            self._on.store.keep_silent(fleet.missed)
        if not round_.n_waiting and fleet.n_online >= round_.quorum:
            self._give_up(round_, "it has no quorum, and no device is left that has not answered")

    def _give_up(self, round_: Round, why: str) -> None:
        self._reporter.gave_up(round_, why)
        self._job.give_up(round_)
        self._is_between_told = False

    def _spend(self, round_: Round, now_s: float) -> None:
        """Store from time to time how much of the deadline has passed, for the next process."""
        deadline_s = self._on.config.deadline_s
        if now_s - self._kept_s < deadline_s / _SAVES:
            return
        self._kept_s = now_s
        self._job.spend(max(0.0, deadline_s - (round_.deadline_s - now_s)))

    def _close(self, round_: Round, session: Session) -> None:
        fleet, traffic = self._router.births.fleet, self._router.traffic
        is_asked = (
            round_.kind != RoundKind.EVALUATION
        )  # a device that evaluates nothing is no trouble
        if is_asked and round_.id not in (self._hurried, self._overran):
            fleet.miss(round_.waiting_for)
        if fleet.has_changed():
            self._on.store.keep_silent(fleet.missed)
        traffic.sent(session.sent_bytes)
        report = self._job.close(round_, traffic.take(), n_late=traffic.take_late())
        self._reporter.closed(report)
        self._router.offer()
        self._is_between_told = False

    def _follow(self, session: Session) -> None:
        """No round is open: finish, open the next one, or wait for devices."""
        fleet, wait_for = self._router.births.fleet, self._on.config.wait_for
        if self._job.is_finished:
            self._finish(session)
        elif fleet.n_online >= wait_for:
            manifest = self._job.open(fleet.online)
            self._kept_s = self._on.clock.monotonic()
            self._router.forget_before(manifest.round)
            session.tell(manifest)
            if self._job.round is not None:
                self._reporter.opened(self._job.round, resumed=False)
        else:
            self._reporter.waiting(fleet.n_online, wait_for)
            if self._job.manifest is not None and not self._is_between_told:
                session.tell(self._job.between())
                self._is_between_told = True
            self._ask_again(session)

    def _ask_again(self, session: Session) -> None:
        """A birth may have been lost on its way here, but the broker still has it retained."""
        now_s = self._on.clock.monotonic()
        if now_s - self._asked_s >= self._on.config.deadline_s:
            self._asked_s = now_s
            session.ask_who_is_there()

    def _finish(self, session: Session) -> None:
        """Tell all devices; if the link breaks meanwhile, the next step tells them again."""
        manifest = self._job.between()
        session.tell(manifest)
        if session.flush(_FLUSH_S):
            if not self._is_announced:
                self._reporter.finished(outcome(self._on))
            self._on.store.announce(manifest.sequence)
            self.is_finished = True


def _is_spent(round_: Round, now_s: float) -> bool:
    """Whether a round that makes no model has waited long enough, whoever has answered."""
    return round_.has_failed(now_s) or now_s >= round_.deadline_s
