"""Devices that follow a script: an update depends only on the device's name and the round."""

import hashlib
from collections.abc import Callable

import numpy as np

from fedge import codecs
from fedge.artifact import Artifact
from fedge.codecs import Stamp
from fedge.errors import PayloadError
from fedge.messages import (
    Accepted,
    DeviceState,
    Facts,
    Missing,
    Presence,
    Refused,
    Reply,
    RoundManifest,
    RoundState,
    Skipped,
    Topics,
    decode_reply,
    split_update,
)
from fedge.transport.base import Connected, Message, Transport
from fedge.types import DeviceId, RoundId


def scripted_payload(
    artifact: Artifact, device: str, round_: int, *, codec: str = "none", n_examples: int = 0
) -> bytes:
    """The update that this device always sends for this round."""
    seed = int.from_bytes(hashlib.sha256(f"{device}/{round_}".encode()).digest()[:8], "little")
    rng = np.random.default_rng(seed)
    delta = rng.normal(scale=0.1, size=artifact.n_trainable).astype(np.float32)
    n = n_examples or int(rng.integers(1, 100))
    stamp = Stamp(schema=artifact.schema[:4], round=round_, n_examples=n)
    return codecs.get(codec).encode(delta, None, rng, stamp=stamp)


def scripted_nonce(device: str, round_: int) -> bytes:
    return hashlib.sha256(f"nonce {device}/{round_}".encode()).digest()[:8]


def will_of(fleet: str, device: str, instance: bytes) -> tuple[str, bytes]:
    """What the broker publishes when this device vanishes."""
    return Topics(fleet).device_state(device), _state(Presence.OFFLINE, instance)


class ScriptedDevice:
    """Sends its update whenever a round opens, and resends it until it is answered.

    Attributes:
        replies: all received, oldest first.
        accepted: rounds whose update was accepted.
        run: the run to name in updates instead of the manifest's.
    """

    def __init__(
        self,
        transport: Transport,
        name: str,
        artifact: Artifact,
        *,
        fleet: str = "default",
        job: str = "default",
        payload: Callable[[Artifact, str, int], bytes] = scripted_payload,
        facts: Facts | None = None,
        chunk_bytes: int = 61_440,
        resend_s: float = 0.5,
    ) -> None:
        self.name, self._artifact = DeviceId(name), artifact
        self._transport, self._topics, self._job = transport, Topics(fleet), job
        self._payload, self._chunk_bytes, self._resend_s = payload, chunk_bytes, resend_s
        self.instance = self.instance_of(name)
        self.facts = facts  # said of every update, to a manifest that wants them
        self.is_able = True  # if not, it says of every round that it cannot do it
        self.replies: list[Reply] = []
        self.accepted: list[int] = []
        self.manifest: RoundManifest | None = None
        self.run: bytes | None = None
        self._sent_s = self._now_s = 0.0
        transport.start()
        transport.subscribe(self._topics.round(job))
        transport.subscribe(self._topics.device_in(name))

    @staticmethod
    def instance_of(name: str) -> bytes:
        return hashlib.sha256(name.encode()).digest()[:8]

    def step(self, now_s: float, timeout_s: float = 0.0) -> bool:
        """Handle one event; whether there was one."""
        self._now_s = now_s
        event = self._transport.receive(timeout_s)
        if isinstance(event, Connected):
            self.be_born()
            self.send()
        if isinstance(event, Message):
            self._read(event)
            self._transport.done(event)
        if self._owes_answer and now_s - self._sent_s > self._resend_s:
            self.send()
        return event is not None

    def has_finished(self) -> bool:
        """Whether the job's end was announced."""
        return self.manifest is not None and self.manifest.state is RoundState.FINISHED

    def be_born(self) -> None:
        topic = self._topics.device_state(self.name)
        self._transport.publish(topic, _state(Presence.ONLINE, self.instance), retain=True)

    def skip(self, round_: RoundId) -> None:
        """Announce, retained, that this device skips the round."""
        assert self.manifest is not None
        topic = self._topics.device_state(self.name)
        skipped = Skipped(self.manifest.run, round_, "it diverged")
        state = _state(Presence.ONLINE, self.instance, skipped)
        self._transport.publish(topic, state, retain=True)

    def send(self) -> None:
        """Send the open round's update, if there is one and it has not been answered."""
        if self.manifest is None or not self._owes_answer:
            return
        self._sent_s = self._now_s
        round_ = self.manifest.round
        payload = self._payload(self._artifact, self.name, round_)
        self.send_payload(payload, round_, scripted_nonce(self.name, round_))

    def send_payload(self, payload: bytes, round_: int, nonce: bytes) -> None:
        parts = self.manifest.parts if self.manifest else 1
        run = self.run or (self.manifest.run if self.manifest else bytes(4))
        topic = self._topics.up(self._job, self.name, parts)
        facts = self.facts if self.manifest and self.manifest.wants_facts else None
        for chunk in split_update(
            payload, run, RoundId(round_), nonce, facts=facts, chunk_bytes=self._chunk_bytes
        ):
            self._transport.publish(topic, chunk.to_bytes())

    @property
    def _owes_answer(self) -> bool:
        manifest = self.manifest
        if manifest is None or manifest.state is not RoundState.OPEN or not self.is_able:
            return False
        return not any(
            reply.round == manifest.round and not isinstance(reply, Missing)
            for reply in self.replies
        )

    def _read(self, message: Message) -> None:
        if message.topic == self._topics.round(self._job):
            self.manifest = RoundManifest.from_bytes(message.payload)
            if self.is_able:
                self.send()
            elif self.manifest.state is RoundState.OPEN:
                self.skip(self.manifest.round)
            return
        try:
            reply = decode_reply(message.payload)
        except PayloadError as error:
            raise AssertionError("the aggregator's reply cannot be read") from error
        self.replies.append(reply)
        if isinstance(reply, Accepted) and reply.round not in self.accepted:
            self.accepted.append(reply.round)

    @property
    def refusals(self) -> list[Refused]:
        return [reply for reply in self.replies if isinstance(reply, Refused)]


def _state(presence: Presence, instance: bytes, skipped: Skipped | None = None) -> bytes:
    state = DeviceState(presence=presence, instance=instance, software="scripted", skipped=skipped)
    return state.to_bytes()
