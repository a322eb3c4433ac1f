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

_BIRTHS, _ECHO_S = 3, 5.0  # how often a birth that is not echoed is repeated, and how far apart

_log = logger(__name__)


class Membership:
    """One process under one device id.

    Args:
        device: the id.
        topic: the device's state topic.
        job: the one it trains for.
        engine: what it trains with, for anyone who wonders why it is slow.

    Attributes:
        will: topic and payload that the broker publishes when the connection is lost.
    """

    def __init__(self, device: DeviceId, topic: str, job: JobId, engine: str) -> None:
        self._device, self._topic, self._job, self._engine = device, topic, job, engine
        self._instance = os.urandom(INSTANCE_BYTES)
        self._connected_at_s: float | None = None
        self._born_at_s = 0.0
        self._is_ours = True
        self._skipped: Skipped | None = None
        self._followed: Followed | None = None
        self._n_unheard: int | None = None  # births not echoed so far; None once one has been
        self.will = (topic, self._state(Presence.OFFLINE))

    def join(self, transport: Transport, followed: Followed | None, now_s: float) -> None:
        """The connection is new: announce the device in a retained message."""
        self._connected_at_s = self._born_at_s = now_s
        self._followed, self._n_unheard = followed, 0
        transport.publish(self._topic, self._state(Presence.ONLINE), retain=True)

    def listen(self, transport: Transport, now_s: float) -> None:
        """Listens for the echo of a birth; after three without one, warns about missing rights.

        On MQTT 3.1.1, and for read rights on all versions, the broker does not report a refusal.
        """
        if self._n_unheard in {None, _BIRTHS} or now_s - self._born_at_s < _ECHO_S:
            return
        self._born_at_s, self._n_unheard = now_s, (self._n_unheard or 0) + 1
        if self._n_unheard < _BIRTHS:
            transport.publish(self._topic, self._state(Presence.ONLINE), retain=True)
        else:
            _log.warning(
                "what this device sends to %s does not come back, after %d tries: allow its user "
                "to write and read there, or nobody will see it; docs/brokers.md lists the "
                "rights that fedge needs",
                self._topic,
                _BIRTHS,
            )

    def announce_skip(self, transport: Transport, skipped: Skipped | None) -> None:
        """Tell the aggregator which round it need not wait for, once per round."""
        is_news = skipped not in {None, self._skipped}
        self._skipped = skipped
        if is_news:
            transport.publish(self._topic, self._state(Presence.ONLINE), retain=True)

    def follow(self, transport: Transport, followed: Followed | None) -> None:
        """Tell the aggregator how far this device has come, in case it does not know."""
        if followed != self._followed:
            self._followed = followed
            transport.publish(self._topic, self._state(Presence.ONLINE), retain=True)

    def renew(self, transport: Transport) -> None:
        """Somebody has announced in this device's name that it has gone: say that it has not."""
        if self._is_ours:
            transport.publish(self._topic, self._state(Presence.ONLINE), retain=True)

    def leave(self, transport: Transport) -> None:
        """Announce that the device leaves, retained. A twin that gives way says nothing."""
        if self._is_ours:
            transport.publish(self._topic, self._state(Presence.OFFLINE), retain=True)

    def read(
        self, transport: Transport, payload: bytes, *, is_retained: bool, now_s: float
    ) -> None:
        """Act on a state published under this device's id, by the device itself or by a twin.

        Raises:
            IdentityError: if another process has the id and this one must give way.
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
            _log.warning("another process uses the id %r; telling it to stop", self._device)
            # Not retained: it is for those who listen now, not for those who come later.
            transport.publish(self._topic, self._state(Presence.ONLINE, claim=True))
        if verdict is not Verdict.IGNORE:
            # After the claim, never before: a newcomer that reads a birth might claim the name.
            transport.publish(self._topic, self._state(Presence.ONLINE), retain=True)

    def _is_untrue(self, state: DeviceState) -> bool:
        """Whether it says something in this process's name that the process would not say.

        The broker does that when it believes a connection dead; anyone with write access can.
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
    """Which round was skipped; the reason is left out, as it may have been cut in transit."""
    return None if skipped is None else (skipped.run, skipped.round)
