"""A device's presence on the broker: birth, farewell, and what to do about a twin."""

import os

from fedge.errors import IdentityError
from fedge.logs import logger
from fedge.messages import DeviceState, Followed, Presence, Skipped
from fedge.messages.identity import Verdict, judge
from fedge.messages.state import INSTANCE_BYTES
from fedge.transport import Transport
from fedge.types import DeviceId, JobId, RoundId
from fedge.version import __version__

_BIRTHS, _ECHO_S = 3, 5.0  # how often a birth is said that does not come back, and how long apart

_log = logger(__name__)


class Membership:
    """One process under one device id.

    Args:
        device: the id.
        topic: the device's state topic.
        job: the one it trains for.
        engine: what it trains with, for whoever wonders why it is slow.

    Attributes:
        will: topic and payload for the broker to publish when the connection is lost.
    """

    def __init__(self, device: DeviceId, topic: str, job: JobId, engine: str) -> None:
        self._device, self._topic, self._job, self._engine = device, topic, job, engine
        self._instance = os.urandom(INSTANCE_BYTES)
        self._connected_at_s: float | None = None
        self._born_at_s = 0.0
        self._is_ours = True
        self._skipped: Skipped | None = None
        self._followed: Followed | None = None
        self._n_unheard: int | None = None  # births that did not come back; None: one has
        self.will = (topic, self._state(Presence.OFFLINE))

    def join(self, transport: Transport, followed: Followed | None, now_s: float) -> None:
        """The connection is new: say that the device is there, in a retained message."""
        self._connected_at_s = self._born_at_s = now_s
        self._followed, self._n_unheard = followed, 0
        transport.publish(self._topic, self._state(Presence.ONLINE), retain=True)

    def listen(self, transport: Transport, now_s: float) -> None:
        """A birth comes back to whoever may write and read it; else say, after three, what may not.

        On MQTT 3.1.1, and for rights to read on all versions, the broker says nothing of it.
        """
        if self._n_unheard in {None, _BIRTHS} or now_s - self._born_at_s < _ECHO_S:
            return
        self._born_at_s, self._n_unheard = now_s, (self._n_unheard or 0) + 1
        if self._n_unheard < _BIRTHS:
            transport.publish(self._topic, self._state(Presence.ONLINE), retain=True)
        else:
            _log.warning(
                "what this device says on %s does not come back, after %d tries: let its user "
                "write and read there, or nobody knows of it; docs/brokers.md has the rights "
                "that fedge needs",
                self._topic,
                _BIRTHS,
            )

    def tell(self, transport: Transport, skipped: Skipped | None) -> None:
        """Let the aggregator know which round it need not wait for; once for each."""
        is_news = skipped not in {None, self._skipped}
        self._skipped = skipped
        if is_news:
            transport.publish(self._topic, self._state(Presence.ONLINE), retain=True)

    def follow(self, transport: Transport, followed: Followed | None) -> None:
        """Let the aggregator know how far this device has come, if it may not know."""
        if followed != self._followed:
            self._followed = followed
            transport.publish(self._topic, self._state(Presence.ONLINE), retain=True)

    def renew(self, transport: Transport) -> None:
        """Somebody has said in this device's name that it has gone: say that it has not."""
        if self._is_ours:
            transport.publish(self._topic, self._state(Presence.ONLINE), retain=True)

    def leave(self, transport: Transport) -> None:
        """Say that the device goes; the broker keeps that. A twin that yields says nothing."""
        if self._is_ours:
            transport.publish(self._topic, self._state(Presence.OFFLINE), retain=True)

    def read(
        self, transport: Transport, payload: bytes, *, is_retained: bool, now_s: float
    ) -> None:
        """Act on a state published under this device's id, by itself or by a twin.

        Raises:
            IdentityError: if another process has the id and this one has to go.
        """
        state = DeviceState.from_bytes(payload)
        if state.instance == self._instance:
            self._n_unheard = None
        since_s = now_s if self._connected_at_s is None else self._connected_at_s
        if not is_retained and self._is_untrue(state):
            self.renew(transport)
            return
        verdict = judge(
            state,
            is_retained=is_retained,
            instance=self._instance,
            connected_for_s=now_s - since_s,
        )
        if verdict is Verdict.YIELD:
            self._is_ours = False
            raise IdentityError(
                f"device id {self._device!r} is in use by another running device; "
                "give each device its own --id"
            )
        if verdict is Verdict.CLAIM:
            _log.warning("another process uses the id %r; it is told to stop", self._device)
            # Not retained: it is meant for who listens now, not for who comes later.
            transport.publish(self._topic, self._state(Presence.ONLINE, claim=True))
        if verdict is not Verdict.IGNORE:
            # After the claim, never before: a newcomer that reads a birth might claim the name.
            transport.publish(self._topic, self._state(Presence.ONLINE), retain=True)

    def _is_untrue(self, state: DeviceState) -> bool:
        """Whether it says in this process's name what this process would not.

        The broker says so when it has taken a connection for dead; so does whoever can write.
        """
        if state.instance != self._instance or not self._is_ours:
            return False
        said, own = (_round_of(one) for one in (state.skipped, self._skipped))
        return state.presence is Presence.OFFLINE or said not in (None, own)

    def _state(self, presence: Presence, *, claim: bool = False) -> bytes:
        return DeviceState(
            presence=presence,
            instance=self._instance,
            software=f"fedge {__version__}",
            claim=claim,
            skipped=self._skipped,
            engine=self._engine,
            job=self._job,
            followed=self._followed,
        ).to_bytes()


def _round_of(skipped: Skipped | None) -> tuple[bytes, RoundId] | None:
    """Which round was skipped; the reason may have been cut on its way."""
    return None if skipped is None else (skipped.run, skipped.round)
