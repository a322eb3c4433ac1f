"""An aggregator's presence on the broker: birth, farewell, and what to do about a rival."""

import secrets

from fedge.config.aggregator import AggregatorConfig
from fedge.errors import IdentityError
from fedge.messages import AggregatorState, Presence, Topics
from fedge.messages.identity import Verdict, judge
from fedge.messages.state import INSTANCE_BYTES
from fedge.transport import Message, Transport
from fedge.types import JobId
from fedge.version import __version__

_PATIENCE_S = 1.0  # for a rival that the broker reports online to speak up


class Membership:
    """Presence of one process that runs one job.

    Attributes:
        will: topic and payload for the broker to publish when the connection is lost.
        quiet_until_s: tell devices nothing before this time; another may be running the job.
    """

    def __init__(self, config: AggregatorConfig, run: bytes) -> None:
        self._config, self._run = config, run
        self._topic = Topics(config.fleet).aggregator_state(config.name)
        self._instance = secrets.token_bytes(INSTANCE_BYTES)
        self._connected_at_s = 0.0
        self._is_ours = True
        self.quiet_until_s = float("-inf")
        self.will = (self._topic, self._state(Presence.OFFLINE))

    def join(self, transport: Transport, now_s: float) -> None:
        """The connection is new: announce in a retained message that this process runs the job."""
        self._connected_at_s = now_s
        transport.publish(self._topic, self._state(Presence.ONLINE), retain=True)

    def leave(self, transport: Transport) -> None:
        """Announce that the job is no longer run; an aggregator that yielded stays silent."""
        if self._is_ours:
            transport.publish(self._topic, self._state(Presence.OFFLINE), retain=True)

    def read(self, transport: Transport, message: Message, now_s: float) -> bool:
        """Act on an aggregator's state; whether it was a rival, which was told to stop.

        Raises:
            IdentityError: if another process runs the job and this one must stop.
            PayloadError: if the message is not an aggregator's state.
        """
        state = AggregatorState.from_bytes(message.payload)
        if state.job != self._config.job:
            return False
        if message.is_retained and state.presence is Presence.ONLINE and state.run != self._run:
            # It may have died without a will. If it lives it answers our birth.
            self.quiet_until_s = now_s + _PATIENCE_S
        verdict = judge(
            state,
            is_retained=message.is_retained,
            instance=self._instance,
            connected_for_s=now_s - self._connected_at_s,
        )
        if verdict is Verdict.YIELD:
            self._yield()
        if verdict is Verdict.CLAIM:
            transport.publish(self._topic, self._state(Presence.ONLINE, claim=True))
        if verdict is not Verdict.IGNORE:
            transport.publish(self._topic, self._state(Presence.ONLINE), retain=True)
        return verdict is Verdict.CLAIM

    def _yield(self) -> None:
        self._is_ours = False
        config = self._config
        raise IdentityError(
            f"job {config.job!r} of fleet {config.fleet!r} is run by another aggregator; "
            "give this one another --job, or stop the other first"
        )

    def _state(self, presence: Presence, *, claim: bool = False) -> bytes:
        return AggregatorState(
            presence=presence,
            instance=self._instance,
            software=f"fedge {__version__}",
            job=JobId(self._config.job),
            run=self._run,
            claim=claim,
        ).to_bytes()
