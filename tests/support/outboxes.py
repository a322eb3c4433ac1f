"""A device's outbox and what is put into it."""

from pathlib import Path

import numpy as np

from fedge.device.state.outbox import Outbox, Result
from fedge.messages import RoundKind
from fedge.types import JobId, RoundId, Vector

JOB, RUN, SCHEMA, MODEL = JobId("digits"), b"run1", b"s" * 32, b"m" * 32


def outbox(folder: Path) -> Outbox:
    return Outbox(folder / "outbox.sqlite3", fleet="home", device="pi-3")


def result(nonce: int = 1, payload: bytes = b"payload", *, has_feedback: bool = True) -> Result:
    return Result(
        job=JOB,
        run=RUN,
        round=RoundId(nonce),
        nonce=nonce.to_bytes(8, "big"),
        kind=RoundKind.TRAINING,
        parts=3,
        schema=SCHEMA,
        has_feedback=has_feedback,
        payload=payload,
    )


def vector(*values: float) -> Vector:
    return np.array(values, np.float32)
