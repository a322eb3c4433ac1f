"""The aggregator: joins rounds, store and transport, and gives them the time."""

from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from fedge.aggregator.clock import Clock
from fedge.aggregator.events import Events
from fedge.aggregator.job import Job
from fedge.aggregator.journal import Journal
from fedge.aggregator.opening import opened
from fedge.aggregator.outcome import outcome, versions
from fedge.aggregator.post import Post
from fedge.aggregator.service import Service
from fedge.config.aggregator import AggregatorConfig
from fedge.errors import PayloadError, TrainingError, TransportError
from fedge.messages import RoundKind
from fedge.rounds import Round
from fedge.transport import Connected, Disconnected, Event, Message, Transport

GROUP_S = 0.02  # updates that arrive within it share one commit
_IDLE_S = 0.25  # how long a stop by a signal may take to be noticed
_FLUSH_S = 5.0
_MAX_FAILED = 3


class Aggregator:
    """Runs a job's rounds over a transport, keeping all that matters in a state directory.

    A device is told that its update is accepted after the update is on the disk.
    Kill the process at any instant: the next one on the same directory goes on
    with the same round, and nothing accepted is lost or counted twice.

    `run` does it all. For a loop of your own there is `step`, and `close` at the end;
    as a context manager it closes itself.

    Args:
        config: the settings.
        transport: what carries the messages; None connects to `config.broker` over MQTT.
        clock: tests give their own.

    Raises:
        FedgeError: on construction, if the state directory, the artifact or the test
            data cannot be used.
    """

    def __init__(
        self,
        config: AggregatorConfig,
        *,
        transport: Transport | None = None,
        clock: Clock = Clock(),  # noqa: B008 - frozen
    ) -> None:
        self._config, self._clock, self._transport = config, clock, transport
        with ExitStack() as stack:
            self._on = stack.enter_context(opened(config, clock))
            events = Events(config.events)
            events.catch_up(self._on.store.reports())
            self._journal = Journal(events)
            self._job = Job(self._on)
            self._resources = stack.pop_all()
        self._service = Service(self._on, self._job, self._journal)
        self._post: Post | None = None
        self._began_s = clock.monotonic()
        self._is_stopped = self._is_between_told = self._is_told = False
        self._n_failed = 0  # rounds in a row that no device could do
        self._is_finished = self._is_announced()

    def run(self) -> dict[str, Any]:
        """Rounds until the job is done or `stop` is called; then the result, see `report`.

        Raises:
            StorageError: if the disk is full or fails; nothing accepted is lost.
            TransportError: if the broker never answered in `config.connect_timeout_s`.
            TrainingError: if no device could do three rounds in a row.
        """
        try:
            while not self._is_stopped and self.step(_IDLE_S):
                pass
            if not self._is_finished:
                self._journal.info("stopped; start it again to go on where it was")
            return self.report()
        finally:
            self.close()

    def step(self, timeout_s: float = 0.0) -> bool:
        """Handle what has come, waiting at most this long for it; whether there is more to do."""
        if self._is_finished:
            return False
        post = self._posted()
        event = post.receive(min(timeout_s, self._wait_s(self._clock.monotonic())))
        until_s = self._clock.monotonic() + GROUP_S
        while event is not None:
            self._handle(event, post)
            event = post.receive(0) if self._clock.monotonic() < until_s else None
        self._service.commit(post)
        self._advance(post)
        self._service.serve(post)
        self._check_link(post)
        return not self._is_finished

    def stop(self) -> None:
        """Make `run` return soon; may be called from a signal handler."""
        self._is_stopped = True

    def report(self) -> dict[str, Any]:
        """What the job has come to so far: rounds, metrics, the model's hash, bytes, versions."""
        return {
            **outcome(self._on),
            "is_finished": self._is_finished,
            "versions": versions(),
            "round_reports": self._on.store.reports(),
        }

    def close(self) -> None:
        """Say goodbye and let go of the state directory; may be called twice."""
        post, self._post = self._post, None
        try:
            if post is not None:
                post.close()
        finally:
            self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _posted(self) -> Post:
        """The post, started when it is first needed."""
        if self._post is None:
            monotonic = self._clock.monotonic
            self._post = Post(self._config, self._transport, run=self._on.run, monotonic=monotonic)
            self._began_s = monotonic()
            if self._job.round is not None:
                self._journal.opened(self._job.round, resumed=True)
        return self._post

    def _handle(self, event: Event, post: Post) -> None:
        match event:
            case Message() if event.topic.split("/")[3:4] == ["srv"]:
                self._meet(event, post)
            case Message():
                self._service.read(event)
            case Connected():
                self._journal.info(f"connected to the broker, {event.protocol}")
                self._greet(post)
            case Disconnected():
                self._journal.warning(f"no broker: {event.reason}")
            case _:
                pass  # undelivered: who wants it asks again

    def _greet(self, post: Post) -> None:
        """The link stands; the broker may have forgotten everything, other devices may be there."""
        self._service.fleet.clear()
        self._service.acknowledge(post)
        self._is_told = False
        if self._job.round is not None:
            # Nobody could answer while there was no link, so the time starts again.
            deadline_s = self._clock.monotonic() + self._config.deadline_s
            self._job.round = replace(self._job.round, deadline_s=deadline_s)

    def _meet(self, message: Message, post: Post) -> None:
        """Another aggregator, or oneself; after a rival the devices may have to be told again."""
        try:
            if message.payload and post.meet(message):
                self._journal.warning("another aggregator has come for this job; it is told to go")
                self._is_told = False
        except PayloadError as error:
            self._journal.ignored(f"a state of an aggregator: {error}", self._clock.monotonic())
        post.done([message])

    def _advance(self, post: Post) -> None:
        """Close the round if it is over, and go on to whatever follows."""
        if not post.may_tell:
            return
        if not self._is_told and self._job.manifest is not None:
            post.tell(self._job.manifest)
        self._is_told = True
        round_, now_s = self._job.round, self._clock.monotonic()
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
        online, wait_for = self._service.fleet.online, self._config.wait_for
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
            self._is_finished = True

    def _is_announced(self) -> bool:
        """Whether the job was finished, and all were told so, before this process began."""
        record = self._on.store.job()
        is_announced = self._job.is_finished and record is not None and record.is_announced
        if is_announced:
            self._journal.info(
                f"job {self._config.job} is finished, there is nothing to do; "
                "more --rounds continue it, another --state-dir begins anew"
            )
        return is_announced

    def _wait_s(self, now_s: float) -> float:
        """How long nothing has to be done unless something comes."""
        due_s = self._service.due_in_s()
        waits = [_IDLE_S, *([due_s] if due_s is not None else [])]
        if self._job.round is not None:
            waits.append(max(0.0, self._job.round.deadline_s - now_s) or _IDLE_S)
        return min(waits)

    def _check_link(self, post: Post) -> None:
        limit_s = self._config.connect_timeout_s
        if post.was_connected or not limit_s:
            return
        if self._clock.monotonic() - self._began_s > limit_s:
            raise TransportError(f"no broker answered for {limit_s:g} s: {post.trouble}")
