"""The aggregator: joins rounds, store and transport, and drives them by the clock."""

from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from fedge.aggregator.clock import Clock
from fedge.aggregator.link.session import Session
from fedge.aggregator.reception.router import Router
from fedge.aggregator.reporting.events import Events
from fedge.aggregator.reporting.log import Reporter
from fedge.aggregator.rounds.job import Job
from fedge.aggregator.rounds.summary import outcome, versions
from fedge.aggregator.scheduler import Scheduler
from fedge.aggregator.startup import opened
from fedge.config.aggregator import AggregatorConfig
from fedge.config.fields import given
from fedge.errors import PayloadError, TransportError
from fedge.messages.topics import fleet_of
from fedge.transport import Connected, Disconnected, Event, Message, Transport, Undelivered

GROUP_S = 0.1  # messages that arrive within it share one commit
_MANY = 64  # after this many in a group, more are probably on the way
_MORE_S = 0.005  # and worth waiting this long for: a commit takes as long
_IDLE_S = 0.25  # how long it may take to notice a stop by signal


class Aggregator:
    """Runs a job's rounds over a transport, keeping everything that matters in a state directory.

    A device is told that its update was accepted only once the update is on disk.
    Kill the process at any instant: the next one on the same directory continues
    the same round, and nothing accepted is lost or counted twice.

    `run` does everything. To drive it from a loop of your own, call `step`, and `close`
    at the end; as a context manager it closes itself:

        with Aggregator(broker="mqtt://127.0.0.1:1883", artifact="model.fedge") as aggregator:
            result = aggregator.run()

    Args:
        config: the settings; they can also be given by name, as above, or in addition.
        transport: what carries the messages; None connects to `config.broker` over MQTT.
        clock: tests give their own.
        settings: fields of `AggregatorConfig`.

    Raises:
        FedgeError: on construction, if the state directory, the artifact or the test
            data cannot be used.
    """

    def __init__(
        self,
        config: AggregatorConfig | None = None,
        *,
        transport: Transport | None = None,
        clock: Clock = Clock(),  # noqa: B008 - frozen
        **settings: Any,
    ) -> None:
        config = given(AggregatorConfig, config, settings)
        self._config, self._clock, self._transport = config, clock, transport
        with ExitStack() as stack:
            self._on = stack.enter_context(opened(config, clock))
            events = Events(config.events, clock.timestamp)
            events.catch_up(self._on.store.reports())
            self._reporter = Reporter(events)
            self._job = Job(self._on)
            if self._job.round is not None and self._job.changes:
                self._reporter.changed(self._job.round, self._job.changes)
            self._resources = stack.pop_all()
        self._router = Router(self._on, self._job, self._reporter)
        self._session: Session | None = None
        self._began_s = clock.monotonic()
        self._is_stopped = False
        self._scheduler = Scheduler(self._on, self._job, self._router, self._reporter)

    def run(self) -> dict[str, Any]:
        """Run rounds until the job is finished or `stop` is called; the result, see `report`.

        Raises:
            StorageError: if the disk is full or fails; nothing accepted is lost.
            TransportError: if the broker did not answer within `config.connect_timeout_s`.
            TrainingError: if `config.give_up_after` rounds in a row could be done by no device.
        """
        try:
            while not self._is_stopped and self.step(_IDLE_S):
                pass
            if not self._scheduler.is_finished:
                self._reporter.info("stopped; start it again to continue where it left off")
            return self.report()
        finally:
            self.close()

    def step(self, timeout_s: float = 0.0) -> bool:
        """Handle what has arrived, waiting at most this long; whether there is more to do."""
        if self._scheduler.is_finished:
            return False
        session = self._started()
        self._read_group(session, timeout_s)
        self._router.commit(session)
        self._scheduler.advance(session)
        self._router.serve(session)
        self._check_link(session)
        return not self._scheduler.is_finished

    def stop(self) -> None:
        """Make `run` return soon; may be called from a signal handler."""
        self._is_stopped = True

    def report(self) -> dict[str, Any]:
        """Results of the job so far: rounds, metrics, the model's hash, bytes, versions."""
        return {
            **outcome(self._on),
            "is_finished": self._scheduler.is_finished,
            "versions": versions(),
            "round_reports": self._on.store.reports(),
        }

    def close(self) -> None:
        """Say goodbye and release the state directory; may be called twice."""
        session, self._session = self._session, None
        try:
            if session is not None:
                session.close()
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

    def _started(self) -> Session:
        """The session, started when it is first needed."""
        if self._session is None:
            monotonic = self._clock.monotonic
            self._session = Session(
                self._config,
                self._transport,
                run=self._on.run,
                n_trainable=self._on.artifact.n_trainable,
                monotonic=monotonic,
            )
            self._began_s = monotonic()
            if self._job.round is not None:
                self._reporter.opened(self._job.round, resumed=True)
        return self._session

    def _read_group(self, session: Session, timeout_s: float) -> None:
        """Handle the messages that will share one commit: all that have arrived, or the next."""
        event = session.receive(min(timeout_s, self._wait_s(self._clock.monotonic())))
        until_s, n_read = self._clock.monotonic() + GROUP_S, 0
        while event is not None:
            self._handle(event, session)
            n_read += 1
            left_s = until_s - self._clock.monotonic()
            if left_s <= 0 or self._router.is_full:
                break
            event = session.receive(min(left_s, _MORE_S) if n_read >= _MANY else 0.0)

    def _handle(self, event: Event, session: Session) -> None:
        match event:
            case Message() if fleet_of(event.topic) is not None:
                self._meet(event, session)
            case Message():
                self._router.read(event)
            case Connected():
                self._reporter.connected(event)
                self._greet(session)
            case Disconnected():
                self._reporter.disconnected(event, self._clock.monotonic())
                self._scheduler.unlink()
            case Undelivered():  # a device that still needs it asks again
                self._reporter.undelivered(event)

    def _greet(self, session: Session) -> None:
        """The link is up; the broker may have lost everything, and other devices may be online."""
        self._router.births.fleet.clear()
        self._router.acknowledge(session)
        self._scheduler.tell_again()
        self._scheduler.link()

    def _meet(self, message: Message, session: Session) -> None:
        """A state of an aggregator, perhaps this one; devices may have heard a rival."""
        try:
            if message.payload and session.meet(message):
                self._reporter.warning(
                    "another aggregator has tried to run this job and was told to stop"
                )
                self._scheduler.tell_again()
        except PayloadError as error:
            self._reporter.ignored(f"a state of an aggregator: {error}", self._clock.monotonic())
        session.done([message])

    def _wait_s(self, now_s: float) -> float:
        """How long there is nothing to do unless a message arrives."""
        due_s = self._router.due_in_s()
        waits = [_IDLE_S, *([due_s] if due_s is not None else [])]
        if self._job.round is not None:
            waits.append(max(0.0, self._job.round.deadline_s - now_s) or _IDLE_S)
        return min(waits)

    def _check_link(self, session: Session) -> None:
        limit_s = self._config.connect_timeout_s
        if session.was_connected or not limit_s:
            return
        if self._clock.monotonic() - self._began_s > limit_s:
            raise TransportError(f"no broker answered for {limit_s:g} s: {session.trouble}")
