"""The aggregator's messages: which topic each goes to, and how many may be under way."""

from collections.abc import Callable, Iterable

from fedge import codecs
from fedge.aggregator.link.presence import Membership
from fedge.codecs.coded import CodedTopK
from fedge.codecs.sparse import TopK
from fedge.config.aggregator import AggregatorConfig
from fedge.config.login import broker_url
from fedge.errors import TransportError
from fedge.messages import (
    CHUNK_BYTES,
    BlobChunk,
    Reply,
    RoundManifest,
    Topics,
)
from fedge.transport import Connected, Disconnected, Event, Message, Transport
from fedge.transport.mqtt import SEND_MAXIMUM, MqttTransport
from fedge.types import DeviceId

MOST_AHEAD = 2048  # messages that the broker may send before the first of them is dealt with
_LEAST_AHEAD = 64
_BYTES_AHEAD = 32 * 2**20  # that such messages may come to, as far as the codec tells their length
_CHUNKS_AHEAD = 64  # chunks in the transport's hands that are not yet on the wire
_LEAST_PAYLOAD = CHUNK_BYTES + 128


def messages_ahead(spec: str, n_trainable: int) -> int:
    """How many updates by this codec may wait here: the more share a commit, the less each costs.

    Fewer of long ones, whose bytes are in memory. What devices send against the plan is bounded
    by the number alone.
    """
    codec = codecs.get(spec)
    n_values = codec.n_kept(n_trainable) if isinstance(codec, TopK | CodedTopK) else n_trainable
    size_bytes = min(CHUNK_BYTES, 5 * n_values)  # a value and its place
    return max(_LEAST_AHEAD, min(MOST_AHEAD, _BYTES_AHEAD // max(1, size_bytes)))


class Session:
    """A started transport, as the aggregator uses it.

    Attributes:
        is_connected: whether the broker is there now.
        was_connected: whether it ever was.
        trouble: the last reason why it was not.

    Args:
        config: the settings.
        transport: what to use instead of a connection of its own.
        run: of the job.
        n_trainable: parameters that devices train.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        config: AggregatorConfig,
        transport: Transport | None,
        *,
        run: bytes,
        n_trainable: int,
        monotonic: Callable[[], float],
    ) -> None:
        self._config, self._topics = config, Topics(config.fleet)
        self._membership, self._monotonic = Membership(config, run), monotonic
        self._n_ahead = messages_ahead(config.plan().codec, n_trainable)
        self._transport = transport or self._connect()
        self.is_connected = self.was_connected = False
        self.trouble = "it did not answer"
        self._n_given = self._n_sent_before = 0
        self._transport.start()
        for topic_filter in (
            self._topics.aggregator_state(),  # first: a rival is known before anything is told
            self._topics.round(config.job),  # what was told before; we may know less
            self._topics.device_state(),
            self._topics.device_get(),
            self._topics.up_filter(config.job),
        ):
            self._transport.subscribe(topic_filter)

    def receive(self, timeout_s: float) -> Event | None:
        """The next event; the link's state follows it."""
        event = self._transport.receive(timeout_s)
        match event:
            case Connected():
                self._check_size(event)
                self.is_connected = self.was_connected = True
                self._membership.join(self._transport, self._monotonic())
            case Disconnected():
                self.is_connected = False
                self.trouble = event.reason
                self._n_given, self._n_sent_before = 0, self._transport.traffic.n_sent
            case _:
                pass
        return event

    def answer(
        self, replies: Iterable[tuple[DeviceId, Reply]], messages: Iterable[Message]
    ) -> None:
        """Send replies, and let the broker send others in the place of these messages."""
        with self._transport.batch():
            for device, reply in replies:
                self.reply(device, reply)
            self.done(messages)

    def done(self, messages: Iterable[Message]) -> None:
        """The broker may send others in their place."""
        for message in messages:
            self._transport.done(message)

    @property
    def may_tell(self) -> bool:
        """Whether devices may be told of rounds: the link stands, and no other aggregator does."""
        return self.is_connected and self._monotonic() >= self._membership.quiet_until_s

    def meet(self, message: Message) -> bool:
        """Read a state of an aggregator; whether one came that wanted this job, and was told to go.

        Raises:
            IdentityError: if the job is another's.
            PayloadError: if the message is no state.
        """
        return self._membership.read(self._transport, message, self._monotonic())

    def ask_who_is_there(self) -> None:
        """Have the broker say again which devices it knows of."""
        self._transport.unsubscribe(self._topics.device_state())
        self._transport.subscribe(self._topics.device_state())

    def reply(self, device: DeviceId, reply: Reply) -> None:
        self._publish(self._topics.device_in(device), reply.to_bytes())

    def tell(self, manifest: RoundManifest) -> None:
        """Tell all devices of a round; retained, so that later ones learn it too."""
        self._publish(self._topics.round(manifest.job), manifest.to_bytes(), retain=True)

    def send_chunk(self, key: str, chunk: BlobChunk) -> None:
        self._publish(self._topics.blob(key, chunk.index), chunk.to_bytes())

    @property
    def room(self) -> int:
        """How many chunks may be sent now without heaping them up."""
        n_waiting = self._n_given - (self._transport.traffic.n_sent - self._n_sent_before)
        return max(0, _CHUNKS_AHEAD - n_waiting) if self.is_connected else 0

    @property
    def sent_bytes(self) -> int:
        return self._transport.traffic.sent_bytes

    def flush(self, timeout_s: float) -> bool:
        return self._transport.flush(timeout_s)

    def close(self, timeout_s: float = 2.0) -> None:
        """Say goodbye to the devices and to the broker."""
        if self.is_connected:
            self._membership.leave(self._transport)
            self._transport.flush(timeout_s)
        self._transport.close()

    def _publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._n_given += 1
        self._transport.publish(topic, payload, retain=retain)

    def _connect(self) -> Transport:
        config = self._config
        return MqttTransport(
            broker_url(config.broker, config.password_file),
            will=self._membership.will,
            receive_maximum=self._n_ahead,
            version=config.mqtt,
            ca_file=config.ca_file,
            send_maximum=SEND_MAXIMUM,
        )

    def _check_size(self, event: Connected) -> None:
        if event.max_payload_bytes < _LEAST_PAYLOAD:
            raise TransportError(
                f"the broker takes messages of at most {event.max_payload_bytes} bytes, and "
                f"models travel in messages of {_LEAST_PAYLOAD}: raise its limit"
            )
