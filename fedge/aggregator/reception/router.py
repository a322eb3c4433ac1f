"""Reads what devices send, and sends back what they ask for."""

from fedge.aggregator.link.session import Session
from fedge.aggregator.models.delivery import Delivery
from fedge.aggregator.reception.births import Births
from fedge.aggregator.reception.intake import Intake
from fedge.aggregator.reporting.log import Reporter
from fedge.aggregator.reporting.traffic import Traffic
from fedge.aggregator.rounds.context import Context
from fedge.aggregator.rounds.job import Job
from fedge.aggregator.state.records import Tally
from fedge.errors import PayloadError
from fedge.messages import (
    Accepted,
    BlobRequest,
    DeviceState,
    Reason,
    Refused,
    Reply,
    Topics,
    UpdateChunk,
)
from fedge.messages.topics import DeviceTopic, RoundTopic, UpTopic
from fedge.messages.update import NONCE_BYTES
from fedge.transport import Message
from fedge.types import DeviceId, RoundId

_MEMORY_ROUNDS = 64  # how far to look back when a device comes online
_SETTLING = (Reason.PAYLOAD, Reason.SCHEMA, Reason.TOO_LARGE)
_MOST_READ = 2048  # messages that share a commit
_MOST_BYTES = 16 * 2**20
_MOST_LATE = 100_000  # late devices counted; more if a round may wait for more
_COUNT_S = 1.0  # how long a count may stay in memory, where a crash would lose it


class Router:
    """Feeds messages to the job, and answers once their content is on disk."""

    def __init__(self, context: Context, job: Job, reporter: Reporter) -> None:
        self._on, self._job, self._reporter = context, job, reporter
        self._topics = Topics(context.config.fleet)
        self._monotonic = context.clock.monotonic
        self._intake = Intake(job, context.artifact, max_examples=context.config.max_examples)
        self._delivery = Delivery()
        self._handled: list[Message] = []
        self._handled_bytes = 0
        self._replies: list[tuple[DeviceId, Reply]] = []
        self._counted_s = self._monotonic()
        self.traffic = Traffic(max(_MOST_LATE, context.config.max_devices))
        self.births = Births(context, job, reporter)
        self.offer()

    def offer(self) -> None:
        """Serve the artifact, the current model with its vectors, and the ways that lead to it."""
        folder, model = self._on.folder, self._job.model
        served = model.served
        self._delivery.offer(
            (self._on.artifact_ref, folder.artifact),
            (model.ref, folder.held(model.record)),
            *((bundle.entry.blob, bundle.data) for bundle in self._job.bundles),
            *([] if served.ref is None or served.data is None else [(served.ref, served.data)]),
        )

    def read(self, message: Message) -> None:
        """Take one message; answers wait for `commit`."""
        self._handled.append(message)
        self._handled_bytes += len(message.payload)
        try:
            match self._topics.read(message.topic):
                case UpTopic(device=device):
                    self._take(device, message.payload)
                case DeviceTopic("get", device):
                    self._give(device, message.payload)
                case DeviceTopic("state", device):
                    self._hear(device, message.payload, is_retained=message.is_retained)
                case RoundTopic(self._job.id):
                    self.births.look(message.payload)
                case _:
                    self._reporter.ignored(f"message on {message.topic[:200]}", self._monotonic())
        except PayloadError as error:
            self._reporter.ignored(f"message on {message.topic[:200]}: {error}", self._monotonic())

    @property
    def is_full(self) -> bool:
        """Whether enough was read to fill a commit."""
        return len(self._handled) >= _MOST_READ or self._handled_bytes >= _MOST_BYTES

    def commit(self, session: Session) -> None:
        """Make everything read so far durable, then answer it."""
        self._reporter.accepted(self._job.current.commit(self._tally(session)))
        if self._replies or self._handled:
            session.answer(self._replies, self._handled)
        self._replies.clear()
        self._handled.clear()
        self._handled_bytes = 0

    def _tally(self, session: Session) -> Tally | None:
        """The counts, if they are to be stored now: with updates, or when they are old."""
        now_s = self._monotonic()
        is_old = self.traffic.has_refusals and now_s - self._counted_s >= _COUNT_S
        if not self._job.current.has_pending and not (is_old and self._job.round is not None):
            return None
        self._counted_s = now_s
        self.traffic.sent(session.sent_bytes)
        return self.traffic.take()

    def acknowledge(self, session: Session) -> None:
        """Repeat the latest acceptances: their answers may have been lost on the way."""
        replies = (
            (device, Accepted(job=self._job.id, round=round_, nonce=nonce))
            for round_ in map(RoundId, self._job.unsettled)
            for device, nonce in self._job.answers.accepted(round_).items()
        )
        session.answer(replies, ())

    def serve(self, session: Session) -> None:
        """Publish chunks that are due, and ask for chunks that are missing."""
        now_s = self._monotonic()
        for key, chunk in self._delivery.take(now_s, session.room):
            session.send_chunk(key, chunk)
        for device, missing in self._intake.reassembly.missing(self._job.id, now_s):
            session.reply(device, missing)

    def forget_before(self, round_: RoundId) -> None:
        """Drop partial updates of earlier rounds: they are too late."""
        self._intake.reassembly.drop_before(round_)

    def due_in_s(self) -> float | None:
        """When `serve` has something to publish."""
        return self._delivery.due_in_s(self._monotonic())

    def _hear(self, device: DeviceId, payload: bytes, *, is_retained: bool) -> None:
        state = DeviceState.from_bytes(payload) if payload else None
        if state is not None and self.births.fleet.is_news(device, state):
            self._remind(device, is_retained=is_retained)
        self.births.hear(device, state, is_retained=is_retained)

    def _remind(self, device: DeviceId, *, is_retained: bool) -> None:
        """Tell a device that has come online which of its updates was accepted last.

        A device that was restored to an older state learns of it this way. Devices that were
        online before us have heard about the last rounds from `acknowledge`.
        """
        closed = self._job.last_round or 0
        newest = max(self._job.last_number, closed)
        rounds = range(max(0, newest + 1 - _MEMORY_ROUNDS), newest + 1)
        last = self._job.answers.last_accepted(device, rounds)
        if last is not None and (last[0] < closed or not is_retained):
            reply = Accepted(job=self._job.id, round=last[0], nonce=last[1])
            self._replies.append((device, reply))

    def _give(self, device: DeviceId, payload: bytes) -> None:
        self.births.notice(device)
        self.traffic.received(len(payload))
        self._delivery.ask(device, BlobRequest.from_bytes(payload), self._monotonic())

    def _take(self, device: DeviceId, payload: bytes) -> None:
        self.births.notice(device)
        self.traffic.received(len(payload))
        try:
            chunk = UpdateChunk.from_bytes(payload)
        except PayloadError as error:
            # Too damaged to tell which update it belongs to; the sender may know.
            round_ = self._job.round.id if self._job.round else RoundId(0)
            reply: Reply | None = Refused(
                job=self._job.id,
                round=round_,
                nonce=bytes(NONCE_BYTES),
                reason=Reason.DAMAGED,
                detail=str(error),
            )
        else:
            reply = self._intake.take(device, chunk, self._monotonic())
        if isinstance(reply, Refused):
            if self.traffic.refused(device, reply.reason):
                self._reporter.many_late(self.traffic.most_late)
            self._settle(device, reply)
            self._reporter.refused(device, reply, self._monotonic())
        if reply is not None:
            self._replies.append((device, reply))

    def _settle(self, device: DeviceId, refusal: Refused) -> None:
        """A final refusal is an answer: the round does not wait for another from this device."""
        round_ = self._job.round
        is_of_it = round_ is not None and refusal.round == round_.id
        if is_of_it and refusal.reason in _SETTLING:
            self._job.current.refuse(device, refusal.detail)
