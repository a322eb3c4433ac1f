"""Sends the content of the outbox, again and again, until the aggregator has answered."""

import random
from dataclasses import dataclass, field

from fedge.device.backoff import Backoff
from fedge.device.state.outbox import Outbox, Result
from fedge.logs import logger
from fedge.messages import (
    CHUNK_BYTES,
    Accepted,
    Missing,
    Range,
    Reason,
    Refused,
    Reply,
    Topics,
    split_update,
)
from fedge.transport import Transport
from fedge.types import DeviceId

_FEW = 3  # unanswered copies of a result before a warning
MAX_DAMAGED = 5  # a result that arrives damaged this often is given up
_PACKET_OVERHEAD = 512  # topic, properties and the chunk's own fields, with room to spare
_COPY = (
    "it is dropped; the state directory is a copy or an old backup, or another device has this id"
)
_log = logger(__name__)
_RESEND = Backoff(first_s=2.0, most_s=60.0)


@dataclass(slots=True)
class _Send:
    """When a result is sent next."""

    due_at_s: float
    backoff: Backoff = field(default=_RESEND)
    n_unanswered: int = 0  # copies accepted by the broker and not answered by anybody


class Sender:
    """Sends the outbox to the aggregator.

    Args:
        outbox: what to send; a result leaves it when it is answered.
        transport: where to send it.
        topics: of the fleet.
        device: whose results they are.
        rng: for the pauses.

    Attributes:
        n_accepted: results the aggregator has accepted.
        n_refused: results given up.
    """

    def __init__(
        self,
        outbox: Outbox,
        transport: Transport,
        topics: Topics,
        device: DeviceId,
        rng: random.Random,
    ) -> None:
        self._outbox, self._transport = outbox, transport
        self._topics, self._device, self._rng = topics, device, rng
        self._chunk_bytes = CHUNK_BYTES
        self.n_accepted = self.n_refused = 0
        self._sends = {nonce: _Send(due_at_s=float("-inf")) for nonce in outbox.pending()}

    @property
    def n_pending(self) -> int:
        return len(self._sends)

    def add(self, nonce: bytes) -> None:
        """A result has been put into the outbox: send it next."""
        self._sends[nonce] = _Send(due_at_s=float("-inf"))

    def forget(self) -> None:
        """Stop sending results that have left the outbox without an answer."""
        pending = set(self._outbox.pending())
        self._sends = {nonce: send for nonce, send in self._sends.items() if nonce in pending}

    def connected(self, max_payload_bytes: int, now_s: float) -> None:
        """Anything in transit is lost: send everything again now, in chunks that fit."""
        self._chunk_bytes = max(1, min(CHUNK_BYTES, max_payload_bytes - _PACKET_OVERHEAD))
        for nonce, send in self._sends.items():
            self._sends[nonce] = _Send(due_at_s=now_s, n_unanswered=send.n_unanswered)

    def hurry(self, at_s: float) -> None:
        """Somebody new is listening: send everything by then, unless a copy is still in transit."""
        for send in self._sends.values():
            send.due_at_s = min(send.due_at_s, at_s)
            send.backoff = _RESEND.next() if send.backoff.n_tries else _RESEND

    def due_at_s(self) -> float:
        """When `send` next has something to do; infinity if everything is answered."""
        return min((send.due_at_s for send in self._sends.values()), default=float("inf"))

    def send(self, now_s: float) -> Result | None:
        """Send one result that is due and return it; None if there is none."""
        nonce = min(self._sends, key=lambda one: self._sends[one].due_at_s, default=None)
        if nonce is None or self._sends[nonce].due_at_s > now_s:
            return None
        send = self._sends[nonce]
        is_repeat = send.backoff.n_tries > 0
        send.due_at_s = now_s + send.backoff.pause_s(self._rng)
        if is_repeat and not self._transport.flush(0):
            return None  # the last copy is still in transit; another would only delay it
        send.backoff = send.backoff.next()
        result = self._outbox.result(nonce)
        if result is None:
            del self._sends[nonce]
        else:
            send.n_unanswered += is_repeat
            if send.n_unanswered == _FEW:
                self._warn_of_silence(result)
            self._publish(result)
        return result

    def _warn_of_silence(self, result: Result) -> None:
        """Brokers silently drop what a user may not write or read, and what is too large."""
        _log.warning(
            "round %d: the update was sent %d times and nobody has answered: is the "
            "aggregator running, may this device's user write to %s and read %s, and does the "
            "broker take %d bytes? (docs/brokers.md)",
            result.round,
            _FEW,
            self._topics.up(result.job, self._device, result.parts),
            self._topics.device_in(self._device),
            min(len(result.payload), self._chunk_bytes),
        )

    def read(self, reply: Reply, now_s: float) -> str | None:
        """Act on an answer; returns a sentence to log, or None if it concerns nothing here."""
        result = self._outbox.result(reply.nonce)
        if result is None or (result.job, result.round) != (reply.job, reply.round):
            return None
        what = f"round {reply.round}: the aggregator"
        match reply:
            case Missing():
                self._postpone(reply.nonce, now_s)
                if not self._transport.flush(0):
                    return f"{what} is missing chunks of the update; they are still on their way"
                self._publish(result, reply.ranges)
                return f"{what} is missing chunks of the update; sent again"
            case Accepted():
                self._outbox.accept(reply.nonce)
                del self._sends[reply.nonce]
                self.n_accepted += 1
                return f"{what} accepted the {result.kind.value} update"
            case Refused():
                return f"{what} {self._refused(reply, now_s)}"

    def _refused(self, reply: Refused, now_s: float) -> str:
        why = f"({reply.reason.value}{': ' if reply.detail else ''}{reply.detail})"
        if not reply.reason.is_final:
            n_damaged = self._outbox.count_damage(reply.nonce)
            if n_damaged < MAX_DAMAGED:
                self._postpone(reply.nonce, now_s)
                return f"got the update damaged {why}; it will be sent again"
        is_counted = reply.reason is Reason.SECOND
        was_kept = not is_counted and self._outbox.refuse(reply.nonce)
        if is_counted:  # its content is in the model: the residual would add it a second time
            self._outbox.accept(reply.nonce)
        del self._sends[reply.nonce]
        self.n_refused += 1
        if is_counted:
            return f"refused the update {why}; {_COPY}"
        kept = "its content goes with the next one" if was_kept else "its content is lost"
        return f"refused the update {why}; {kept}"

    def _postpone(self, nonce: bytes, now_s: float) -> None:
        """Restart the pauses: the aggregator has just been heard from."""
        pause_s = _RESEND.pause_s(self._rng)
        self._sends[nonce] = _Send(due_at_s=now_s + pause_s, backoff=_RESEND.next())

    def _publish(self, result: Result, ranges: tuple[Range, ...] | None = None) -> None:
        topic = self._topics.up(result.job, self._device, result.parts)
        chunks = split_update(
            result.payload,
            result.run,
            result.round,
            result.nonce,
            facts=result.facts,
            chunk_bytes=self._chunk_bytes,
        )
        for chunk in chunks:
            if ranges is None or any(first <= chunk.index <= last for first, last in ranges):
                self._transport.publish(topic, chunk.to_bytes())
