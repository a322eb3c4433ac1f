"""The course of a job: rounds close, others open, and the devices are told of it."""

from fedge.aggregator.job import Job
from fedge.aggregator.journal import Journal
from fedge.aggregator.outcome import outcome
from fedge.aggregator.post import Post
from fedge.aggregator.premises import Premises
from fedge.aggregator.service import Service
from fedge.errors import TrainingError
from fedge.messages import RoundKind
from fedge.rounds import Round

_FLUSH_S = 5.0
_MAX_FAILED = 3


class Course:
    """What follows when, from where the last process left it.

    Attributes:
        is_finished: whether nothing follows, and the devices know it.
    """

    def __init__(self, premises: Premises, job: Job, service: Service, journal: Journal) -> None:
        self._on, self._job, self._service, self._journal = premises, job, service, journal
        self._is_told = self._is_between_told = False
        self._n_failed = 0  # rounds in a row that no device could do
        self.is_finished = self._is_announced()

    def tell_again(self) -> None:
        """The devices, or some, may not know or have been told otherwise."""
        self._is_told = False

    def advance(self, post: Post) -> None:
        """Close the round if it is over, and go on to whatever follows."""
        if not post.may_tell:
            return
        if not self._is_told and self._job.manifest is not None:
            post.tell(self._job.manifest)
        self._is_told = True
        round_, now_s = self._job.round, self._on.clock.monotonic()
        if round_ is not None and round_.has_failed:
            self._fail(round_, post)
        elif round_ is not None and round_.is_over(now_s):
            self._n_failed = 0
            self._close(round_, post)
        elif round_ is not None and now_s >= round_.deadline_s:
            self._journal.below_quorum(round_, now_s)
        if self._job.round is None:
            self._follow(post)

    def _fail(self, round_: Round, post: Post) -> None:
        """Nobody could do the round: try the next one, which draws other examples, a few times."""
        self._n_failed += 1
        is_first = round_.kind == RoundKind.STATISTICS  # nothing can follow without them
        if is_first or self._n_failed == _MAX_FAILED:
            raise TrainingError(
                f"no device could do round {round_.id}, the {self._n_failed}. in a row:"
                f" {self._journal.last_skip}"
            )
        self._close(round_, post)

    def _close(self, round_: Round, post: Post) -> None:
        meter = self._service.meter
        meter.sent(post.sent_bytes)
        report = self._job.close(round_, meter.take(), n_late=meter.take_late())
        self._journal.closed(report)
        self._service.offer()
        self._is_between_told = False

    def _follow(self, post: Post) -> None:
        """No round is open: finish, open the next one, or wait for devices."""
        online, wait_for = self._service.fleet.online, self._on.config.wait_for
        if self._job.is_finished:
            self._finish(post)
        elif len(online) >= wait_for:
            manifest = self._job.open(online)
            self._service.forget_before(manifest.round)
            post.tell(manifest)
            if self._job.round is not None:
                self._journal.opened(self._job.round, resumed=False)
        else:
            self._journal.waiting(len(online), wait_for)
            if self._job.last_round is not None and not self._is_between_told:
                post.tell(self._job.between())
                self._is_between_told = True

    def _finish(self, post: Post) -> None:
        """Tell everybody; if the link breaks meanwhile, the next step tells them again."""
        manifest = self._job.between()
        post.tell(manifest)
        if post.flush(_FLUSH_S):
            self._journal.finished(outcome(self._on))
            self._on.store.announce(manifest.sequence)
            self.is_finished = True

    def _is_announced(self) -> bool:
        """Whether the job was finished, and all were told so, before this process began."""
        record = self._on.store.job()
        is_announced = self._job.is_finished and record is not None and record.is_announced
        if is_announced:
            self._journal.info(
                f"job {self._on.config.job} is finished, there is nothing to do; "
                "more --rounds continue it, another --state-dir begins anew"
            )
        return is_announced
