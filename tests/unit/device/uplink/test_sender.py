"""Sending the outbox to the aggregator, over an in-memory bus."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedge import codecs
from fedge.device.state.outbox import Outbox, Result
from fedge.device.uplink.sender import MAX_DAMAGED, Sender
from fedge.messages import (
    CHUNK_BYTES,
    Accepted,
    Missing,
    Reason,
    Refused,
    RoundKind,
    Topics,
    UpdateChunk,
)
from fedge.types import DeviceId, JobId, RoundId
from tests.support.bus import Bus
from tests.support.round_manifests import rng

JOB, SCHEMA = JobId("digits"), b"s" * 32
NONCE = b"12345678"
TOPIC = "fedge/v1/home/job/digits/up/0/pi-3"
NAMED: dict[str, Any] = {"job": JOB, "round": RoundId(4), "nonce": NONCE}


class Scene:
    """A sender with one result, and everything that reached the bus."""

    def __init__(self, folder: Path, payload: bytes = b"payload", *, is_flushed: bool = True):
        self.bus = Bus()
        self.transport = self.bus.transport("pi-3")
        self.transport.start()
        self.transport.flush = lambda timeout_s: is_flushed  # type: ignore[method-assign]
        self.outbox = Outbox(folder / "outbox.sqlite3", fleet="home", device="pi-3")
        result = Result(
            job=JOB, run=b"run1", round=RoundId(4), nonce=NONCE, kind=RoundKind.TRAINING,
            parts=1, schema=SCHEMA, has_feedback=True, payload=payload,
        )  # fmt: skip
        self.outbox.put(
            result, sequence=7, model_sha256=b"m" * 32, residual=np.zeros(4, np.float32)
        )
        self.sender = Sender(self.outbox, self.transport, Topics("home"), DeviceId("pi-3"), rng())

    def sent(self) -> list[UpdateChunk]:
        """Chunks published since the last call."""
        chunks = [UpdateChunk.from_bytes(sent.payload) for sent in self.bus.log]
        assert {sent.topic for sent in self.bus.log} <= {TOPIC}
        self.bus.log.clear()
        return chunks


def test_a_result_left_by_a_previous_process_is_sent_with_its_nonce(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert scene.sender.send(0.0)
    (chunk,) = scene.sent()
    assert (chunk.round, chunk.nonce, chunk.data) == (4, NONCE, b"payload")


def test_a_result_is_resent_after_growing_pauses_until_it_is_answered(tmp_path: Path) -> None:
    scene, times = Scene(tmp_path), [0.0]
    for _ in range(8):
        assert scene.sender.send(times[-1])
        assert scene.sender.send(times[-1]) is None
        times.append(scene.sender.due_at_s())
    pauses = [after - before for before, after in itertools.pairwise(times)]
    for pause, length in zip(pauses, [2, 4, 8, 16, 32, 60, 60, 60], strict=True):
        assert length / 2 <= pause <= length
    assert len(scene.sent()) == 8
    scene.sender.read(Accepted(**NAMED), times[-1])
    assert scene.sender.due_at_s() == float("inf")
    assert scene.sender.send(times[-1] + 1000) is None
    assert scene.outbox.pending() == []
    assert (scene.sender.n_accepted, scene.sender.n_pending) == (1, 0)


def test_a_new_connection_sends_at_once_in_chunks_that_fit(tmp_path: Path) -> None:
    scene = Scene(tmp_path, payload=bytes(10_000))
    scene.sender.send(0.0)
    scene.sent()
    scene.sender.connected(4_608, 0.5)
    assert scene.sender.send(0.5)
    assert [len(chunk.data) for chunk in scene.sent()] == [4096, 4096, 1808]
    assert all(len(chunk.to_bytes()) < 4_608 for chunk in scene.sent())


def test_only_missing_chunks_are_sent_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path, payload=bytes(4 * CHUNK_BYTES))
    scene.sender.send(0.0)
    scene.sent()
    scene.sender.read(Missing(**NAMED, ranges=((1, 1), (3, 3))), 1.0)
    assert [chunk.index for chunk in scene.sent()] == [1, 3]
    assert scene.sender.due_at_s() >= 2.0  # and not the whole before another pause


def test_no_second_copy_is_queued_while_the_first_is_in_transit(tmp_path: Path) -> None:
    scene = Scene(tmp_path, is_flushed=False)
    assert scene.sender.send(0.0)
    assert scene.sender.send(10.0) is None
    assert len(scene.sent()) == 1


def test_chunks_still_in_transit_are_not_sent_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path, is_flushed=False)
    scene.sender.send(0.0)
    scene.sent()
    said = scene.sender.read(Missing(**NAMED, ranges=((0, 0),)), 1.0)
    assert said is not None
    assert said.endswith("they are still on their way")
    assert scene.sent() == []


def test_an_update_of_a_round_already_counted_is_dropped(tmp_path: Path) -> None:
    """Its twin is in the model: returned to the residual, it would count twice."""
    payload = codecs.get("topk:0.5/float32").encode(
        np.array([4, 1, -8, 2], np.float32), np.zeros(4, np.float32), np.random.default_rng(0)
    )
    scene = Scene(tmp_path, payload)
    said = scene.sender.read(Refused(**NAMED, reason=Reason.SECOND, detail="why"), 0.0)
    assert said is not None
    assert "the state directory is a copy or an old backup" in said
    assert (scene.outbox.pending(), scene.sender.n_refused) == ([], 1)
    np.testing.assert_array_equal(scene.outbox.residual(JOB, SCHEMA), [0, 0, 0, 0])


@pytest.mark.parametrize(
    "reason", sorted({one for one in Reason if one.is_final} - {Reason.SECOND})
)
def test_a_final_refusal_returns_the_update_to_the_residual(tmp_path: Path, reason: Reason) -> None:
    residual = np.zeros(4, np.float32)
    payload = codecs.get("topk:0.5/float32").encode(
        np.array([4, 1, -8, 2], np.float32), residual, np.random.default_rng(0)
    )
    scene = Scene(tmp_path, payload)  # its residual is zero
    said = scene.sender.read(Refused(**NAMED, reason=reason, detail="why"), 0.0)
    assert said is not None
    assert f"({reason.value}: why)" in said
    assert scene.outbox.pending() == []
    assert scene.sender.n_refused == 1
    np.testing.assert_array_equal(scene.outbox.residual(JOB, SCHEMA), [4, 0, -8, 0])


def test_a_damaged_update_is_resent_and_given_up_after_five_times(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    damaged = Refused(**NAMED, reason=Reason.DAMAGED)
    now_s = 0.0
    for _ in range(MAX_DAMAGED - 1):
        assert scene.sender.send(now_s)
        scene.sender.read(damaged, now_s)
        now_s = scene.sender.due_at_s()
    assert len(scene.sent()) == 4
    scene.sender.read(damaged, now_s)
    assert scene.outbox.pending() == []
    assert (scene.sender.n_accepted, scene.sender.n_refused) == (0, 1)


@pytest.mark.parametrize(
    "other", [{"nonce": b"87654321"}, {"round": RoundId(5)}, {"job": JobId("other")}]
)
def test_an_answer_about_something_else_changes_nothing(tmp_path: Path, other: dict) -> None:
    scene = Scene(tmp_path)
    assert scene.sender.read(Accepted(**{**NAMED, **other}), 0.0) is None
    assert scene.outbox.pending() == [NONCE]


def test_a_new_aggregator_gets_the_result_immediately(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    for now_s in (0.0, 10.0, 30.0):
        assert scene.sender.send(now_s)
    scene.sender.hurry(31.0)
    assert scene.sender.send(31.0)
