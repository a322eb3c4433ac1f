"""What a device that hears no round hears instead: the fleets and jobs on its broker."""

from fedge.errors import PayloadError
from fedge.logs import logger
from fedge.messages import AggregatorState, Presence, Topics
from fedge.messages.topics import ANY_AGGREGATOR, fleet_of
from fedge.transport import Message, Transport, Undelivered

_log = logger(__name__)

PATIENCE_S = 15.0  # of silence before the device looks around
LOOK_S = 3.0  # duration of a look
AGAIN_S = 600.0  # between two looks
_MOST_HEARD = 16  # jobs; as many messages also end a look


class Lookout:
    """Looks around while the device's job is silent, and logs in one line what is there.

    For a few seconds it subscribes to the states of all aggregators on the broker, which are small
    retained messages. A broker with access control may refuse that, or send nothing.

    Args:
        transport: the device's.
        topics: those of its fleet.
        job: the one it waits for.
    """

    def __init__(self, transport: Transport, topics: Topics, job: str) -> None:
        self._transport, self._topics, self._job = transport, topics, job
        self._heard: dict[tuple[str, str], bool] = {}  # by fleet and job: whether it is running
        self._due_at_s: float | None = None  # when the next look starts, or this one ends
        self._is_looking = self._is_full = self._has_round = False
        self._refusal: str | None = None
        self._said = ""

    def up(self, now_s: float) -> None:
        """The link is up."""
        if not self._has_round and self._refusal is None:
            self._due_at_s = now_s + PATIENCE_S

    def down(self) -> None:
        """The link is gone; some brokers hang up on a client that asks for what it may not read."""
        if self._is_looking:
            self._refusal = "it hung up when this device looked around"
            self._end()
        self._due_at_s = None

    def read(self, message: Message) -> bool:
        """Take note of a message; whether it was for the lookout alone."""
        if message.topic == self._topics.round(self._job):
            self._has_round, self._due_at_s = True, None
            self._stop()
            return False
        fleet = fleet_of(message.topic)
        if fleet is None:
            return False
        self._note(fleet, message.payload)
        return fleet != self._topics.fleet

    def refused(self, event: Undelivered) -> bool:
        """Whether it was this look around that the broker refused."""
        if event.topic != ANY_AGGREGATOR:
            return False
        self._refusal = f"it does not let this device see other fleets: {event.reason}"
        if self._is_looking:
            self._end()
        return True

    def check(self, now_s: float) -> None:
        """Begin or end a look if it is due."""
        if self._due_at_s is None or now_s < self._due_at_s:
            return
        if not self._is_looking:
            self._is_looking, self._due_at_s = True, now_s + LOOK_S
            self._transport.subscribe(ANY_AGGREGATOR)
            return
        self._end()
        self._due_at_s = now_s + AGAIN_S

    def _note(self, fleet: str, payload: bytes) -> None:
        try:
            state = AggregatorState.from_bytes(payload)
        except PayloadError:
            return  # its recipient reports it; an empty one only clears a retained message
        is_online = state.presence is Presence.ONLINE
        if len(self._heard) < _MOST_HEARD or (fleet, state.job) in self._heard:
            self._heard[fleet, state.job] = is_online
        elif not self._is_full:  # enough has been heard: stop listening
            self._is_full = True
            self._transport.unsubscribe(ANY_AGGREGATOR)

    def _stop(self) -> None:
        if self._is_looking:
            self._transport.unsubscribe(ANY_AGGREGATOR)
            self._is_looking = False

    def _end(self) -> None:
        self._stop()
        found = self._found()
        if found != self._said:
            self._said = found
            _log.warning(
                "no round of job %s in fleet %s for %d s; %s",
                self._job, self._topics.fleet, PATIENCE_S + LOOK_S, found,
            )  # fmt: skip

    def _found(self) -> str:
        own = self._heard.get((self._topics.fleet, self._job))
        if own is not None:
            return (
                "its aggregator is running but has opened none yet; it may be waiting for devices"
                if own
                else "its aggregator is gone: start it again"
            )
        if self._heard:
            return f"heard {self._listed()}: are --fleet and --job right?"
        if self._refusal is not None:
            return f"heard no aggregator; as for the broker, {self._refusal}"
        return (
            "heard no aggregator of any fleet: is one running on this broker? "
            "(if the broker has access control, it may hide it from this device)"
        )

    def _listed(self) -> str:
        jobs: dict[str, list[str]] = {}
        for (fleet, job), is_online in sorted(self._heard.items()):
            jobs.setdefault(fleet, []).append(job if is_online else f"{job} (not running)")
        more = "; and more" if self._is_full else ""
        return (
            "; ".join(f"fleet {name}: job {', '.join(some)}" for name, some in jobs.items()) + more
        )
