"""Incoming messages, and who reads them."""

import logging
import random
from dataclasses import dataclass, field

from fedge.device.downlink.fetcher import Fetcher
from fedge.device.link.presence import Membership
from fedge.device.memory import making
from fedge.device.report import ByRound
from fedge.device.uplink.budget import UploadBudget
from fedge.device.uplink.sender import Sender
from fedge.device.work.phases import Fetching
from fedge.device.work.worker import Worker
from fedge.errors import PayloadError
from fedge.logs import logger
from fedge.messages import (
    Accepted,
    AggregatorState,
    Presence,
    Refused,
    RoundManifest,
    Topics,
    decode_reply,
)
from fedge.messages.topics import fleet_of
from fedge.transport import Message, Transport
from fedge.types import DeviceId, JobId

_log = logger(__name__)

# All devices hear of a new aggregator at the same time. It must not hear from all of them at the
# same time, and no device knows how many there are. Two seconds is also the first pause between two
# sends of an update.
MOST_WAIT_S = 2.0


@dataclass(slots=True, kw_only=True)
class Router:
    """Passes each message to the part of the device that it is for.

    Attributes:
        by_round: bytes received.
        artifact_by_round: the part of them that were chunks of the artifact.
        n_bad: messages that could not be read; they are logged and dropped.
        is_live: whether the last manifest came from the aggregator itself rather than being
            retained by the broker.
    """

    job: JobId
    device: DeviceId
    topics: Topics
    transport: Transport
    membership: Membership
    worker: Worker
    sender: Sender
    fetcher: Fetcher
    uplink: UploadBudget
    rng: random.Random
    by_round: ByRound = field(default_factory=ByRound)
    artifact_by_round: ByRound = field(default_factory=ByRound)
    n_bad: int = 0
    is_live: bool = False
    _follow_at_s: float = float("inf")
    _held: RoundManifest | None = None  # from another run; its sender is not known yet

    def subscribe(self) -> None:
        """Subscribe to everything but blobs, which the fetcher subscribes to one by one."""
        self.transport.subscribe(self.topics.round(self.job))
        self.transport.subscribe(self.topics.device_in(self.device))
        self.transport.subscribe(self.topics.device_state(self.device))
        self.transport.subscribe(self.topics.aggregator_state())

    def figures(self) -> dict[str, object]:
        """The parts' figures for the device's report."""
        worker, sender, uplink = self.worker, self.sender, self.uplink
        return {
            "rounds_trained": worker.n_trained,
            "rounds_skipped": worker.n_skipped,
            "updates_accepted": sender.n_accepted,
            "updates_refused": sender.n_refused,
            "updates_pending": sender.n_pending,
            "messages_dropped": self.n_bad,
            "received_bytes_by_round": self.by_round.to_json(),
            "artifact_bytes_by_round": self.artifact_by_round.to_json(),
            "budget_bytes_by_round": {str(round_): n for round_, n in uplink.budgets.items()},
            "uplink_bytes_per_s": uplink.bytes_per_s,
        }

    def read(self, message: Message, now_s: float) -> None:
        """Act on a message; one that cannot be decoded is logged and dropped.

        Raises:
            IdentityError: if another process has this device's id.
            StorageError: if the result cannot be stored.
        """
        try:
            if message.payload:
                self._route(message, now_s)
            elif message.topic == self.topics.device_state(self.device):
                self.membership.renew(self.transport)  # it was cleared by hand
        except PayloadError as error:
            self.n_bad += 1
            _log.warning("dropped a message on %s: %s", message.topic, error)
        finally:
            self.by_round.add(len(message.payload))
            self.transport.done(message)

    def _route(self, message: Message, now_s: float) -> None:
        topic, payload = message.topic, message.payload
        if topic == self.topics.round(self.job):
            self._read_manifest(payload, is_retained=message.is_retained, now_s=now_s)
        elif topic == self.topics.device_in(self.device):
            self._read_reply(payload, now_s)
        elif topic == self.topics.device_state(self.device):
            self.membership.read(
                self.transport, payload, is_retained=message.is_retained, now_s=now_s
            )
        elif fleet_of(topic) is not None:
            self._read_aggregator(payload, is_retained=message.is_retained, now_s=now_s)
        else:
            self._read_chunk(topic, payload, now_s)

    def follow(self, now_s: float) -> None:
        """Report how far this device has come, when an aggregator may not know."""
        if now_s >= self._follow_at_s:
            self._follow_at_s = float("inf")
            self.membership.follow(self.transport, self.worker.followed)

    def _read_manifest(self, payload: bytes, *, is_retained: bool, now_s: float) -> None:
        manifest = RoundManifest.from_bytes(payload)
        if manifest.job != self.job:
            raise PayloadError("job of the manifest", expected=self.job, found=manifest.job)
        self._held = None
        if is_retained and self.worker.run not in (None, manifest.run):
            self._held = manifest  # following it means forgetting the run before
            return
        self._act_on(manifest, is_live=not is_retained)
        if self.worker.is_ahead and not is_retained:
            self._follow_at_s = now_s + self.rng.uniform(0, MOST_WAIT_S)

    def _act_on(self, manifest: RoundManifest, *, is_live: bool) -> None:
        self.is_live = is_live
        self.by_round.announce(manifest.round)
        self.artifact_by_round.announce(manifest.round)
        self.worker.read(manifest)

    def _read_reply(self, payload: bytes, now_s: float) -> None:
        reply = decode_reply(payload)
        sentence = self.sender.read(reply, now_s)
        if sentence is not None:
            _log.log(
                logging.WARNING if isinstance(reply, Refused) else logging.INFO, "%s", sentence
            )
        elif isinstance(reply, Accepted) and reply.job == self.job:
            self.worker.compare(reply.round)

    def _read_aggregator(self, payload: bytes, *, is_retained: bool, now_s: float) -> None:
        state = AggregatorState.from_bytes(payload)
        if state.job != self.job or state.presence is not Presence.ONLINE:
            return
        if self._held is not None and self._held.run == state.run:
            held, self._held = self._held, None
            self._act_on(held, is_live=False)
        if not is_retained:
            _log.info("an aggregator has started")
            at_s = now_s + self.rng.uniform(0, MOST_WAIT_S)
            self.sender.hurry(at_s)
            self.fetcher.hurry(at_s)
            self._follow_at_s = at_s

    def _read_chunk(self, topic: str, payload: bytes, now_s: float) -> None:
        match self.worker.phase:
            case Fetching(manifest) if f"/{manifest.artifact.key}/" in topic:
                self.artifact_by_round.add(len(payload))
        try:
            with making("a model or an artifact on its way here"):
                blob = self.fetcher.take(topic, payload, now_s)
            if blob is not None:
                self.worker.take_blob(*blob)
        except MemoryError as error:
            self.worker.give_up(error)
