"""The aggregator's messages: which topic each goes to, and how many may be in flight."""

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

MOST_AHEAD = 2048  # messages that the broker may send before the first is acknowledged
_LEAST_AHEAD = 64
_BYTES_AHEAD = 32 * 2**20  # in total for these messages, as far as the codec determines their size
_CHUNKS_AHEAD = 64  # chunks handed to the transport and not yet on the wire
_LEAST_PAYLOAD = CHUNK_BYTES + 128


def messages_ahead(spec: str, n_trainable: int) -> int:
    """How many updates by this codec may queue up: the more share a commit, the cheaper each is.

    Fewer if they are large, since they wait in memory. For devices that ignore the plan, only
    the number is bounded.
    """
    codec = codecs.get(spec)
    n_values = codec.n_kept(n_trainable) if isinstance(codec, TopK | CodedTopK) else n_trainable
    size_bytes = min(CHUNK_BYTES, 5 * n_values)  # a value and its place
    return max(_LEAST_AHEAD, min(MOST_AHEAD, _BYTES_AHEAD // max(1, size_bytes)))


class Session:
    """A started transport, as the aggregator uses it.

    Attributes:
        is_connected: whether the broker is connected now.
        was_connected: whether it ever was.
        trouble: why it was last not connected.

    Args:
        config: the settings.
        transport: used instead of opening a connection.
        run: the job's run.
        n_trainable: parameters that devices train.
        monotonic: a clock in seconds that never goes back.
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
            self._topics.aggregator_state(),  # first: a rival is known before devices are told
            self._topics.round(config.job),  # published before; it may be newer than what we know
            self._topics.device_state(),
            self._topics.device_get(),
            self._topics.up_filter(config.job),
        ):
            self._transport.subscribe(topic_filter)

    def receive(self, timeout_s: float) -> Event | None:
        """The next event, after updating the link's state."""
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
        """Send replies, and acknowledge these messages so that the broker sends more."""
        with self._transport.batch():
            for device, reply in replies:
                self.reply(device, reply)
            self.done(messages)

    def done(self, messages: Iterable[Message]) -> None:
        """Acknowledge messages, so that the broker sends more."""
        for message in messages:
            self._transport.done(message)

    @property
    def may_tell(self) -> bool:
        """Whether devices may be told about rounds: the link is up and no rival is expected."""
        return self.is_connected and self._monotonic() >= self._membership.quiet_until_s

    def meet(self, message: Message) -> bool:
        """Read an aggregator's state; whether it was a rival for this job, which was told to stop.

        Raises:
            IdentityError: if another aggregator runs the job.
            PayloadError: if the message is not an aggregator's state.
        """
        return self._membership.read(self._transport, message, self._monotonic())

    def ask_who_is_there(self) -> None:
        """Make the broker repeat which devices it knows."""
        self._transport.unsubscribe(self._topics.device_state())
        self._transport.subscribe(self._topics.device_state())

    def reply(self, device: DeviceId, reply: Reply) -> None:
        self._publish(self._topics.device_in(device), reply.to_bytes())

    def tell(self, manifest: RoundManifest) -> None:
        """Tell all devices about a round; retained, so that later ones hear of it too."""
        self._publish(self._topics.round(manifest.job), manifest.to_bytes(), retain=True)

    def send_chunk(self, key: str, chunk: BlobChunk) -> None:
        self._publish(self._topics.blob(key, chunk.index), chunk.to_bytes())

    @property
    def room(self) -> int:
        """How many chunks may be sent now without building up a queue."""
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
