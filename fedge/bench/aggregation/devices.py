"""A scripted fleet: births, one update per round from each device, and checks of the answers."""

import hashlib
import selectors
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Self

import numpy as np

from fedge import codecs
from fedge.artifact import Artifact
from fedge.bench.aggregation.wire import Connection, publish_packet
from fedge.codecs import Stamp
from fedge.errors import ConfigError, FedgeError, PayloadError
from fedge.messages import (
    CHUNK_BYTES,
    Accepted,
    DeviceState,
    Presence,
    RoundManifest,
    RoundState,
    Topics,
    decode_reply,
    split_update,
)
from fedge.messages.topics import AggregatorTopic, DeviceTopic, RoundTopic
from fedge.transport.url import BrokerUrl
from fedge.types import JobId, Vector
from fedge.version import __version__

JOB = JobId("bench")
_SENDERS = 4  # connections
_DISTINCT = 512  # updates; further devices reuse their deltas
_AHEAD = 4096  # at most this many updates wait for an answer: a broker's queues are finite
_PATIENCE_S = 300.0  # without news
_SCALE = 1e-3  # of a delta's values


@dataclass(frozen=True, slots=True)
class Updates:
    """The payloads of one round; device i sends payload i modulo their number."""

    payloads: Sequence[bytes]
    n_examples: Sequence[int]

    @classmethod
    def of_round(cls, artifact: Artifact, round_: int, *, codec: str, n_devices: int) -> Self:
        """Random deltas, seeded by the round's number and encoded by the real codec."""
        rng, encoder = np.random.default_rng(round_), codecs.get(codec)
        payloads, n_examples = [], []
        for number in range(min(n_devices, _DISTINCT)):
            delta = rng.normal(scale=_SCALE, size=artifact.n_trainable).astype(np.float32)
            stamp = Stamp(schema=artifact.schema[:4], round=round_, n_examples=1 + number % 99)
            payloads.append(encoder.encode(delta, None, rng, stamp=stamp))
            n_examples.append(stamp.n_examples)
        return cls(payloads, n_examples)

    def mean(self, n_devices: int) -> Vector:
        """The mean delta of this many devices, weighted by examples; float64, NumPy alone."""
        places = np.arange(n_devices) % len(self.payloads)
        weights = np.bincount(places) * np.asarray(self.n_examples, np.float64)
        total = sum(
            weight * codecs.decode(payload).to_dense().astype(np.float64)
            for weight, payload in zip(weights, self.payloads, strict=True)
        )
        return np.asarray(total / weights.sum())


class Devices:
    """Identities that share a few connections to a broker.

    Args:
        url: of the broker.
        fleet: a name that nobody else uses.
        n_devices: how many.

    Attributes:
        manifest: the last one read.
    """

    def __init__(self, url: BrokerUrl, fleet: str, n_devices: int) -> None:
        self.manifest: RoundManifest | None = None
        self._topics = Topics(fleet)
        self._names = [f"device-{number:06}" for number in range(n_devices)]
        # A connection of its own: what it reads must not wait behind what the others send.
        heard = [
            self._topics.aggregator_state(),
            self._topics.round(JOB),
            self._topics.device_in("+"),
        ]
        with ExitStack() as stack:
            self._selector = stack.enter_context(selectors.DefaultSelector())
            self._reader = stack.enter_context(closing(Connection(url, heard)))
            self._senders = [
                stack.enter_context(closing(Connection(url, []))) for _ in range(_SENDERS)
            ]
            self._open = stack.pop_all()
        for one in (self._reader, *self._senders):
            self._selector.register(one.socket, selectors.EVENT_READ, one)
        self._replies: dict[str, bytes] = {}
        self._is_served = False

    def wait_for_aggregator(self, check: Callable[[], None]) -> None:
        """Wait until one announces itself; `check` raises if it has ended."""
        self._play(lambda: self._is_served, "the aggregator to appear", check)

    def be_born(self, check: Callable[[], None]) -> None:
        """All devices announce themselves, retained; wait until the first round is open."""
        state = DeviceState(
            presence=Presence.ONLINE, instance=bytes(8), software=f"fedge {__version__}", job=JOB
        ).to_bytes()
        for number, name in enumerate(self._names):
            topic = self._topics.device_state(name)
            self._sender(number).send(publish_packet(topic, state, retain=True))
        self.wait_for_round(-1, check)

    def wait_for_round(self, after: int, check: Callable[[], None]) -> RoundManifest:
        """Wait until a later round than this one is open, or the job is finished."""
        self._play(lambda: self._is_told_of(after), "a round to open", check)
        assert self.manifest is not None  # noqa: S101 - waited for
        return self.manifest

    def packets(self, updates: Updates, manifest: RoundManifest) -> list[bytearray]:
        """What each device sends in this round, ready to go."""
        found = []
        for number, name in enumerate(self._names):
            payload = updates.payloads[number % len(updates.payloads)]
            nonce = _nonce(name, manifest.round)
            chunk, *more = split_update(payload, manifest.run, manifest.round, nonce)
            if more:
                raise ConfigError(
                    "the devices of this bench send each update as one message: expected a codec"
                    f" whose updates take at most {CHUNK_BYTES} bytes, found {len(payload)}"
                )
            topic = self._topics.up(JOB, name, manifest.parts)
            found.append(publish_packet(topic, chunk.to_bytes()))
        return found

    def send(self, packets: Sequence[bytearray], check: Callable[[], None]) -> float:
        """Send for all devices; returns the seconds from the first packet to the last answer."""
        self._replies.clear()
        start_s, self._n_sent = time.perf_counter(), 0

        def feed() -> bool:
            until = min(len(packets), len(self._replies) + _AHEAD)
            while self._n_sent < until:
                self._sender(self._n_sent).send(packets[self._n_sent])
                self._n_sent += 1
            return len(self._replies) == len(packets)

        self._play(feed, "an answer to each update", check)
        return time.perf_counter() - start_s

    def check_replies(self, manifest: RoundManifest) -> None:
        """FedgeError unless every device was told that the update it sent was accepted."""
        for name in self._names:
            try:
                reply = decode_reply(self._replies[self._topics.device_in(name)])
            except (KeyError, PayloadError) as error:
                raise FedgeError(f"{name} got no readable answer: {error}") from error
            wanted = Accepted(job=JOB, round=manifest.round, nonce=_nonce(name, manifest.round))
            if reply != wanted:
                raise FedgeError(f"{name} got the wrong answer: expected {wanted}, found {reply}")

    def forget(self, check: Callable[[], None]) -> None:
        """Clear the retained births, on a broker that keeps running."""
        for number, name in enumerate(self._names):
            topic = self._topics.device_state(name)
            self._sender(number).send(publish_packet(topic, b"", retain=True))
        self._play(
            lambda: not any(one.n_waiting for one in self._senders),
            "the births to be cleared",
            check,
        )

    def close(self) -> None:
        """Hang up."""
        self._open.close()

    def _sender(self, number: int) -> Connection:
        return self._senders[number % _SENDERS]

    def _is_told_of(self, after: int) -> bool:
        manifest = self.manifest
        if manifest is None:
            return False
        is_open = manifest.state is RoundState.OPEN and manifest.round > after
        return is_open or manifest.state is RoundState.FINISHED

    def _play(self, is_done: Callable[[], bool], what: str, check: Callable[[], None]) -> None:
        """Send and read until `is_done`.

        Raises:
            FedgeError: if there has been no news for `_PATIENCE_S`.
        """
        heard_s = time.monotonic()
        while not is_done():
            for one in (self._reader, *self._senders):
                one.write()
            ready = self._selector.select(0.02)
            for key, _ in ready:
                for topic, payload in key.data.read():
                    self._hear(topic, payload)
            if ready:
                heard_s = time.monotonic()
            else:
                check()
            if time.monotonic() - heard_s > _PATIENCE_S:
                n, all_ = len(self._replies), len(self._names)
                raise FedgeError(
                    f"no news for {_PATIENCE_S:g} s while waiting for {what}; {n} of {all_} devices"
                    " have an answer"
                )

    def _hear(self, topic: str, payload: bytes) -> None:
        match self._topics.read(topic):
            case DeviceTopic("in"):
                self._replies[topic] = payload
            case RoundTopic() if payload:
                self.manifest = RoundManifest.from_bytes(payload)
            case AggregatorTopic() if payload:
                self._is_served = True
            case _:
                pass


def _nonce(name: str, round_: int) -> bytes:
    return hashlib.sha256(f"{name}/{round_}".encode()).digest()[:8]
