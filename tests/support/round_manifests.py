"""Round manifests and an rng for the device's tests."""

import hashlib
import random
from dataclasses import replace
from typing import Any

from fedge.messages import BlobRef, RoundKind, RoundManifest, RoundState
from fedge.training import Plan
from fedge.types import JobId, RoundId


def ref(data: bytes) -> BlobRef:
    return BlobRef(hashlib.sha256(data).digest(), len(data))


BASE = RoundManifest(
    job=JobId("digits"),
    run=b"run1",
    round=RoundId(1),
    sequence=10,
    kind=RoundKind.TRAINING,
    state=RoundState.OPEN,
    artifact=ref(b"artifact"),
    model=ref(b"model 1"),
    plan=Plan(local_steps=3, batch_size=4, codec="topk:0.5/float32"),
    deadline_s=60.0,
    parts=1,
)


def manifest(round_: int = 1, **changes: Any) -> RoundManifest:
    """A manifest of this round; its sequence follows the round."""
    fields = {"sequence": 10 * round_, "model": ref(b"model %d" % round_), **changes}
    return replace(BASE, round=RoundId(round_), **fields)


def rng(seed: int = 0) -> random.Random:
    return random.Random(seed)  # noqa: S311 - jitter in pauses is no secret
