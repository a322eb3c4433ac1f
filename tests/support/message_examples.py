"""One valid message of each kind, with its decoder."""

from collections.abc import Callable
from dataclasses import replace

from fedge.messages import (
    Accepted,
    AggregatorState,
    BlobChunk,
    BlobRef,
    BlobRequest,
    Broadcasts,
    CatchUp,
    DeviceState,
    Facts,
    Followed,
    Missing,
    Presence,
    Reason,
    Refused,
    RoundKind,
    RoundManifest,
    RoundState,
    ServerRef,
    ServerVectors,
    Skipped,
    UpdateChunk,
    decode_reply,
)
from fedge.training.plan import Plan
from fedge.types import JobId, RoundId

_JOB, _ROUND, _NONCE = JobId("digits"), RoundId(7), bytes(range(8))

MANIFEST = RoundManifest(
    job=_JOB,
    run=b"run1",
    round=_ROUND,
    sequence=12,
    kind=RoundKind.TRAINING,
    state=RoundState.OPEN,
    artifact=BlobRef(bytes(32), 1000),
    model=BlobRef(bytes(range(32)), 70_000),
    catch_up=(CatchUp(1, BlobRef(bytes(32), 500)), CatchUp(8, BlobRef(bytes(32), 4000))),
    plan=Plan(local_steps=5),
    deadline_s=30.5,
    parts=4,
)

EXAMPLES: list[tuple[Callable[[bytes], object], bytes]] = [
    (
        RoundManifest.from_bytes,
        replace(MANIFEST, server=ServerRef(3, BlobRef(bytes(32), 900))).to_bytes(),
    ),
    (BlobChunk.from_bytes, BlobChunk(3, 9, b"data").to_bytes()),
    (ServerVectors.from_bytes, ServerVectors({"control": b"payload"}).to_bytes()),
    (Broadcasts.from_bytes, Broadcasts([b"one", b"two"]).to_bytes()),
    (BlobRequest.from_bytes, BlobRequest("0123456789abcdef", ((0, 3), (300, 400))).to_bytes()),
    (
        UpdateChunk.from_bytes,
        UpdateChunk(
            run=b"run1",
            round=_ROUND,
            nonce=_NONCE,
            index=1,
            total=2,
            digest=bytes(16),
            data=b"delta",
        ).to_bytes(),
    ),
    (
        UpdateChunk.from_bytes,
        UpdateChunk(
            run=b"run1",
            round=_ROUND,
            nonce=_NONCE,
            index=0,
            total=1,
            digest=bytes(16),
            facts=Facts(n_steps=7, loss=0.25),
            data=b"delta",
        ).to_bytes(),
    ),
    (RoundManifest.from_bytes, MANIFEST.to_bytes()),
    (
        DeviceState.from_bytes,
        DeviceState(
            presence=Presence.ONLINE,
            instance=_NONCE,
            software="fedge/0.1",
            skipped=Skipped(b"run1", RoundId(3), "diverged"),
            engine="reference",
            job=_JOB,
            followed=Followed(b"run1", RoundId(3), 9, is_answered=True),
        ).to_bytes(),
    ),
    (
        AggregatorState.from_bytes,
        AggregatorState(
            presence=Presence.OFFLINE,
            instance=_NONCE,
            software="fedge/0.1",
            job=_JOB,
            run=b"run1",
        ).to_bytes(),
    ),
    (decode_reply, Accepted(job=_JOB, round=_ROUND, nonce=_NONCE).to_bytes()),
    (decode_reply, Missing(job=_JOB, round=_ROUND, nonce=_NONCE, ranges=((2, 5),)).to_bytes()),
    (
        decode_reply,
        Refused(
            job=_JOB, round=_ROUND, nonce=_NONCE, reason=Reason.PAYLOAD, detail="CRC"
        ).to_bytes(),
    ),
]
