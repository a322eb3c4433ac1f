"""An aggregator that does what a test says, and on its own only serves blobs."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from fedge.artifact import Artifact
from fedge.errors import PayloadError
from fedge.messages import (
    Accepted,
    Assembly,
    BlobChunk,
    BlobRef,
    BlobRequest,
    DeviceState,
    Reply,
    RoundKind,
    RoundManifest,
    RoundState,
    Topics,
    UpdateChunk,
    n_chunks,
    slice_chunk,
)
from fedge.messages.topics import DeviceTopic, UpTopic
from fedge.training import Plan
from fedge.transport import Connected, Message, Transport
from fedge.types import JobId, RoundId

FLEET, JOB, RUN = "home", JobId("digits"), b"run1"
PLAN = Plan(local_steps=3, batch_size=4, lr=0.01, codec="topk:0.5/float32", seed=7)


def accept(chunk: UpdateChunk) -> Reply:
    return Accepted(job=JOB, round=chunk.round, nonce=chunk.nonce)


class ScriptedAggregator:
    """Speaks the protocol over any transport.

    Attributes:
        reply: its answer to a complete update; None for silence.
        updates: (device, round, nonce, payload) of every complete update, repeats included.
        requests: the devices' requests.
        states: device states, in order of arrival.
        serves: whether it sends requested chunks.
    """

    def __init__(self, transport: Transport, artifact: Artifact) -> None:
        self.reply: Callable[[UpdateChunk], Reply | None] = accept
        self.updates: list[tuple[str, int, bytes, bytes]] = []
        self.requests: list[BlobRequest] = []
        self.states: list[DeviceState] = []
        self.serves = True
        self.is_connected = False
        self._transport, self._topics = transport, Topics(FLEET)
        self._blobs: dict[str, bytes] = {}
        self._parts: dict[bytes, Assembly] = {}
        self.artifact = self.add_blob(artifact.to_bytes())
        self.model = self.add_blob(artifact.parameters.astype("<f4").tobytes())
        for topic in ("dev/+/get", "dev/+/state", f"job/{JOB}/up/+/+"):
            transport.subscribe(f"fedge/v1/{FLEET}/{topic}")
        transport.start()

    def add_blob(self, data: bytes) -> BlobRef:
        blob = BlobRef(hashlib.sha256(data).digest(), len(data))
        self._blobs[blob.key] = data
        return blob

    def announce(self, round_: int, **changes: Any) -> RoundManifest:
        """Publish a manifest, by default of an open training round of the first model."""
        manifest = RoundManifest(
            job=JOB,
            run=RUN,
            round=RoundId(round_),
            sequence=10 * round_,
            kind=RoundKind.TRAINING,
            state=RoundState.OPEN,
            artifact=self.artifact,
            model=self.model,
            plan=PLAN,
            deadline_s=60.0,
            parts=1,
        )
        manifest = replace(manifest, **changes)
        self._transport.publish(self._topics.round(JOB), manifest.to_bytes(), retain=True)
        return manifest

    def work(self, timeout_s: float = 0.0) -> None:
        """Handle everything that has arrived."""
        while (event := self._transport.receive(timeout_s)) is not None:
            if isinstance(event, Connected):
                self.is_connected = True
            if isinstance(event, Message):
                with suppress(PayloadError):  # a test that sends nonsense aims at the device
                    self._read(event.topic, event.payload)
                self._transport.done(event)

    def close(self) -> None:
        self._transport.close()

    def _read(self, topic: str, payload: bytes) -> None:
        match self._topics.read(topic):
            case DeviceTopic("state"):
                self.states.append(DeviceState.from_bytes(payload))
            case DeviceTopic("get"):
                self._serve(BlobRequest.from_bytes(payload))
            case UpTopic(device=device):
                self._collect(device, UpdateChunk.from_bytes(payload))
            case _:
                raise AssertionError(topic)

    def _serve(self, request: BlobRequest) -> None:
        self.requests.append(request)
        data = self._blobs[request.key]
        total = n_chunks(len(data))
        indices = [i for first, last in request.ranges for i in range(first, last + 1)]
        for index in indices if self.serves else []:
            chunk = BlobChunk(index, total, slice_chunk(data, index))
            self._transport.publish(self._topics.blob(request.key, index), chunk.to_bytes())

    def _collect(self, device: str, chunk: UpdateChunk) -> None:
        parts = self._parts.setdefault(
            chunk.nonce, Assembly(chunk.digest, chunk.total, max_bytes=10**8)
        )
        parts.add(chunk.index, chunk.data)
        if not parts.is_complete:
            return
        del self._parts[chunk.nonce]
        try:
            self.updates.append((device, chunk.round, chunk.nonce, parts.whole()))
        except PayloadError:
            return
        reply = self.reply(chunk)
        if reply is not None:
            self._transport.publish(self._topics.device_in(device), reply.to_bytes())
