"""A whole device, on an in-memory bus, with an aggregator driven by the test."""

import functools
import hashlib
import inspect
import logging
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fedge import codecs
from fedge.artifact import Artifact
from fedge.codecs import read_header
from fedge.device import Device
from fedge.device.state.outbox import Outbox
from fedge.device.work.phases import Answered, Fetching, Finished, Idle, Training
from fedge.errors import ConfigError, IdentityError, StorageError, TransportError
from fedge.messages import (
    CHUNK_BYTES,
    Accepted,
    Assembly,
    DeviceState,
    Followed,
    Presence,
    Reason,
    Refused,
    Reply,
    RoundState,
    Skipped,
    UpdateChunk,
)
from fedge.training import Plan, Trainer
from fedge.types import RoundId
from tests.support import models
from tests.support.device_scene import GOODBYE, ROUND, STATE, Scene, examples, pending
from tests.support.hostile import HOSTILE
from tests.support.scripted_aggregator import FLEET, JOB, PLAN, accept


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_round_gives_the_update_that_the_plan_prescribes(scene: Scene) -> None:
    manifest = scene.aggregator.announce(1)
    device = scene.device()
    scene.settle(device)
    text = b"fedge/1 seed=7 device=pi-3 round=1 purpose=training"
    seed = int.from_bytes(hashlib.sha256(text).digest()[:8], "little") % 2**63
    plan = replace(manifest.plan, seed=seed)
    update = Trainer(scene.artifact).fit(scene.artifact.parameters, examples(), plan)
    residual = np.zeros(3, np.float32)
    stamp = codecs.Stamp(schema=scene.artifact.schema[:4], round=1, n_examples=12)
    codec = codecs.get("topk:0.5/float32")
    want = codec.encode(update.delta, residual, np.random.default_rng(0), stamp=stamp)
    ((name, round_, _, payload),) = scene.aggregator.updates
    assert (name, round_, payload) == ("pi-3", 1, want)
    assert device.phase == Answered(manifest)
    assert pending(scene.folder) == []
    assert device.report()["updates_accepted"] == 1
    device.close()


def test_only_missing_blobs_are_fetched(scene: Scene) -> None:
    other = scene.aggregator.add_blob(np.array([1, 2, 3], "<f4").tobytes())
    device = scene.device()
    scene.aggregator.announce(1)
    scene.settle(device)
    scene.aggregator.announce(2, model=other)
    scene.settle(device)
    scene.aggregator.announce(3, model=other)
    scene.settle(device)
    # The first model is in the artifact, the third is the second.
    assert [one.key for one in scene.aggregator.requests] == [
        scene.aggregator.artifact.key,
        other.key,
    ]
    assert [round_ for _, round_, _, _ in scene.aggregator.updates] == [1, 2, 3]
    device.close()


def test_one_step_is_one_local_step_so_that_messages_are_read_in_between(scene: Scene) -> None:
    scene.aggregator.announce(1, plan=replace(PLAN, local_steps=50))
    device = scene.device()
    scene.run_until(device, lambda: isinstance(device.phase, Training))
    for n_steps in (1, 2, 3):
        assert device.step() == 0
        assert isinstance(device.phase, Training)
        assert device.phase.n_steps == n_steps
    scene.aggregator.announce(2)
    assert device.step() == 0  # reads the manifest, trains nothing
    assert isinstance(device.phase, Training)
    assert (device.phase.manifest.round, device.phase.n_steps) == (2, 0)
    device.close()


def test_a_superseded_round_is_abandoned_and_never_sent(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    scene.aggregator.announce(1, plan=replace(PLAN, local_steps=50))
    device = scene.device()
    scene.run_until(device, lambda: getattr(device.phase, "n_steps", 0) == 2)
    scene.aggregator.announce(2)
    scene.settle(device)
    assert [round_ for _, round_, _, _ in scene.aggregator.updates] == [2]
    assert "round 1: abandoned after 2 local steps; none of that is sent" in caplog.text
    device.close()


def test_a_round_that_closes_while_training_is_abandoned(scene: Scene) -> None:
    scene.aggregator.announce(1, plan=replace(PLAN, local_steps=50))
    device = scene.device()
    scene.run_until(device, lambda: getattr(device.phase, "n_steps", 0) == 2)
    scene.aggregator.announce(1, sequence=11, state=RoundState.CLOSED)
    scene.settle(device)
    assert device.phase == Idle("round 1 is closed")
    assert scene.aggregator.updates == []
    device.close()


def test_a_manifest_with_an_older_sequence_is_ignored(scene: Scene) -> None:
    device = scene.device()
    scene.aggregator.announce(5)
    scene.settle(device)
    before = device.phase
    scene.aggregator.announce(4)
    scene.settle(device)
    assert device.phase == before
    assert [round_ for _, round_, _, _ in scene.aggregator.updates] == [5]
    device.close()


def test_a_restarted_job_is_followed_and_nothing_of_the_old_run_is_sent(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """The new run restarts the count of rounds and manifests, with the same first model."""
    device = scene.device()
    for round_ in (1, 2):
        scene.aggregator.announce(round_, sequence=99 + round_)
        scene.settle(device)
    scene.aggregator.reply = lambda _: None
    scene.aggregator.announce(3, sequence=103)
    scene.settle(device)
    assert len(pending(scene.folder)) == 1  # nobody answered round 3
    scene.aggregator.updates.clear()
    del scene.aggregator.reply
    scene.aggregator.reply = accept
    scene.aggregator.announce(1, sequence=0, run=b"run2")
    scene.settle(device)
    assert "forgot answers, residual and unsent updates of run 72756e31" in caplog.text
    assert caplog.text.count("started over") == 1
    assert pending(scene.folder) == []
    ((_, round_, _, payload),) = scene.aggregator.updates
    fresh = Scene(scene.folder / "fresh")
    fresh.aggregator.announce(1)
    newcomer = fresh.device()
    fresh.settle(newcomer)
    assert (round_, payload) == (1, fresh.aggregator.updates[0][3])  # no residual was carried over
    newcomer.close()
    device.close()


def test_a_run_is_recognised_after_a_restart(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.aggregator.announce(1)
    device = scene.device()
    scene.settle(device)
    scene.kill(device)
    again = scene.device()
    scene.settle(again)
    scene.kill(again)
    scene.aggregator.announce(1, sequence=0, run=b"run2")
    third = scene.device()
    scene.settle(third)
    assert "started over" not in caplog.text  # the broker may have retained that from long ago
    scene.bear_aggregator(b"run2")
    scene.settle(third)
    assert caplog.text.count("started over") == 1
    assert [round_ for _, round_, _, _ in scene.aggregator.updates] == [1, 1]
    third.close()


def test_a_round_announced_again_is_not_trained_again_even_after_a_restart(scene: Scene) -> None:
    scene.aggregator.announce(1)
    device = scene.device()
    scene.settle(device)
    scene.aggregator.announce(1, sequence=12)
    scene.settle(device)
    scene.kill(device)
    again = scene.device()
    scene.settle(again)
    assert len(scene.aggregator.updates) == 1
    assert isinstance(again.phase, Answered)
    again.close()


def test_a_device_killed_while_training_does_the_round_again(scene: Scene) -> None:
    scene.aggregator.announce(1)
    device = scene.device()
    scene.run_until(device, lambda: getattr(device.phase, "n_steps", 0) == 2)
    scene.kill(device)
    again = scene.device()
    scene.settle(again)
    assert len(scene.aggregator.updates) == 1
    assert len(scene.aggregator.requests) == 1  # the artifact was on the disk
    again.close()


def test_an_update_without_an_answer_is_sent_by_the_next_process_with_its_nonce(
    scene: Scene,
) -> None:
    scene.aggregator.reply = lambda _: None
    scene.aggregator.announce(1)
    device = scene.device()
    scene.settle(device)
    scene.kill(device)
    assert len(pending(scene.folder)) == 1
    del scene.aggregator.reply
    scene.aggregator.reply = lambda chunk: Refused(
        job=JOB, round=chunk.round, nonce=chunk.nonce, reason=Reason.LATE
    )
    again = scene.device()
    scene.settle(again)
    first, second = scene.aggregator.updates
    assert first == second
    assert pending(scene.folder) == []
    assert again.report()["updates_refused"] == 1
    again.close()


def test_nothing_from_an_old_backup_is_sent_once_the_aggregator_has_said_what_it_has(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Round 1 is unanswered in the backup; round 3 was accepted after the backup was made."""
    scene.aggregator.reply = lambda _: None
    scene.aggregator.announce(1)
    device = scene.device()
    scene.settle(device)
    router = f"fedge/v1/{FLEET}/dev/pi-3/in"
    for round_ in (1, 3, 3):
        reply = Accepted(job=JOB, round=RoundId(round_), nonce=b"another!")
        scene.bus.deliver("aggregator", router, reply.to_bytes(), retain=False)
        device.step()
        assert len(pending(scene.folder)) == (1 if round_ == 1 else 0)
    box = Outbox(scene.folder / "state" / "outbox.sqlite3", fleet=FLEET, device="pi-3")
    assert box.residual(JOB, scene.artifact.schema) is None
    box.close()
    assert (
        caplog.text.count("for round 3, and the state directory knows of none after round 1") == 1
    )
    device.close()


def test_nothing_learned_is_lost_when_an_update_is_refused(scene: Scene) -> None:
    """What two rounds learn arrives in full even though the first update is refused."""

    def answer(chunk: UpdateChunk) -> Reply:
        if chunk.round > 1:
            return accept(chunk)
        return Refused(job=JOB, round=chunk.round, nonce=chunk.nonce, reason=Reason.LATE)

    scene.aggregator.reply = answer
    device = scene.device()
    for round_ in (1, 2):
        scene.aggregator.announce(round_)
        scene.settle(device)
    device.close()
    box = Outbox(scene.folder / "state" / "outbox.sqlite3", fleet=FLEET, device="pi-3")
    residual = box.residual(JOB, scene.artifact.schema)
    assert residual is not None
    (_, _, _, lost), (_, _, _, counted) = scene.aggregator.updates
    learned = np.zeros(3)
    for round_ in (1, 2):
        text = f"fedge/1 seed=7 device=pi-3 round={round_} purpose=training".encode()
        seed = int.from_bytes(hashlib.sha256(text).digest()[:8], "little") % 2**63
        fit = Trainer(scene.artifact).fit
        learned += fit(scene.artifact.parameters, examples(), replace(PLAN, seed=seed)).delta
    assert np.abs(codecs.decode(lost).to_dense()).max() > 0
    np.testing.assert_allclose(codecs.decode(counted).to_dense() + residual, learned, rtol=1e-5)


def test_after_a_cut_link_a_download_resumes_with_the_missing_chunks(tmp_path: Path) -> None:
    scene = Scene(tmp_path, models.linear(n_in=50_000))  # 200 004 bytes: four chunks
    values = np.ones(50_001, "<f4").tobytes()
    model = scene.aggregator.add_blob(values)
    device = scene.device()
    scene.aggregator.announce(1)
    scene.settle(device)
    lost = f"fedge/v1/{FLEET}/blob/{model.key}/"
    scene.bus.copies = lambda topic, _: 0 if topic in (f"{lost}1", f"{lost}2") else 1
    scene.aggregator.announce(2, model=model)
    scene.settle(device)
    waiting = device.phase
    assert isinstance(waiting, Fetching)
    scene.bus.copies = lambda _topic, _payload: 1
    scene.bus.cut(scene.transport)
    scene.settle(device)
    scene.bus.join(scene.transport)
    scene.settle(device)
    asked = [one.ranges for one in scene.aggregator.requests if one.key == model.key]
    assert asked == [((0, 3),), ((1, 2),)]
    assert device.phase == Answered(waiting.manifest)
    device.close()


def test_missing_chunks_are_asked_for_again_while_the_link_is_up(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.aggregator.serves = False
    scene.aggregator.announce(1)
    device = scene.device()
    scene.run_until(device, lambda: len(scene.aggregator.requests) == 4)
    # 1 s, 2 s and 4 s, each reduced by up to half
    assert 3.5 <= scene.now_s - 100.0 <= 9.0
    scene.aggregator.serves = True
    scene.run_until(device, lambda: len(scene.aggregator.updates) == 1)
    device.close()


def test_training_that_is_not_finite_sends_nothing_and_waits_for_the_next_round(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.aggregator.announce(1, plan=Plan(local_steps=200, lr=1000.0))
    device = scene.device()
    scene.run_until(
        device, lambda: isinstance(device.phase, Idle) and "skipped" in device.phase.why
    )
    scene.aggregator.announce(1, sequence=11, plan=Plan(local_steps=200, lr=1000.0))
    scene.settle(device)
    assert scene.aggregator.updates == []
    assert "skipping round 1: " in caplog.text
    said = scene.aggregator.states[-1].skipped
    assert said is not None
    assert said.round == 1
    assert "diverged" in said.why
    assert device.report()["rounds_skipped"] == 1
    scene.aggregator.announce(2)
    scene.settle(device)
    assert [round_ for _, round_, _, _ in scene.aggregator.updates] == [2]
    device.close()


def test_examples_may_be_given_as_a_file(scene: Scene, tmp_path: Path) -> None:
    own = examples(n_in=scene.artifact.manifest.inputs[0].shape[0])
    np.savez(tmp_path / "own.npz", **own.inputs, y=own.targets)  # type: ignore[arg-type]
    scene.aggregator.announce(1)
    device = scene.device(data=str(tmp_path / "own.npz"))
    scene.settle(device)
    assert len(scene.aggregator.updates) == 1
    device.close()


def test_a_device_with_a_budget_stays_within_it_whatever_the_plan_says(scene: Scene) -> None:
    scene.aggregator.announce(1, plan=replace(PLAN, codec="none"))
    device = scene.device(budget_bytes=64)
    scene.settle(device)
    (_, _, _, payload), *_ = scene.aggregator.updates
    assert len(payload) <= 64
    assert read_header(payload).scheme.is_sparse  # the plan's codec is dense
    device.close()


def test_a_device_that_measures_its_link_fits_every_update_to_it(tmp_path: Path) -> None:
    """The link takes 2 s for the first update and 4 s for the second; 8 s are allowed."""
    scene = Scene(tmp_path, models.linear(n_in=20_000))
    device, sizes = scene.device(upload_time_s=8.0), []
    for round_, took_s in [(1, 2.0), (2, 4.0), (3, 0.0)]:
        scene.transport.flush = lambda timeout_s: False  # type: ignore[method-assign]
        scene.aggregator.announce(round_, plan=replace(PLAN, codec="none"))
        scene.run_until(device, lambda n=round_: len(scene.aggregator.updates) == n)  # type: ignore[misc]
        sizes.append(len(scene.aggregator.updates[-1][3]))
        scene.now_s += took_s
        scene.transport.flush = lambda timeout_s: True  # type: ignore[method-assign]
        scene.settle(device)
    report = device.report()
    first, second, third = report["budget_bytes_by_round"].values()  # type: ignore[attr-defined]
    assert first == 4096
    assert second == pytest.approx(sizes[0] / 2 * 8, rel=0.1)
    assert third == pytest.approx(min(sizes[0] / 2, sizes[1] / 4) * 8, rel=0.1)
    for size, budget in zip(sizes, [first, second, third], strict=True):
        assert 0.9 * budget < size <= budget
    device.close()


def test_a_link_that_breaks_during_a_send_halves_the_next_update(tmp_path: Path) -> None:
    scene = Scene(tmp_path, models.linear(n_in=20_000))
    device = scene.device(upload_time_s=8.0)
    scene.transport.flush = lambda timeout_s: False  # type: ignore[method-assign]
    scene.aggregator.announce(1)
    scene.run_until(device, lambda: len(scene.aggregator.updates) == 1)
    scene.bus.cut(scene.transport)
    scene.bus.join(scene.transport)
    scene.settle(device)
    scene.aggregator.announce(2)
    scene.settle(device)
    assert device.report()["budget_bytes_by_round"] == {"1": 4096, "2": 2048}
    assert 0.9 * 2048 < len(scene.aggregator.updates[-1][3]) <= 2048
    device.close()


@pytest.mark.parametrize("codec", ["zip", "topk:7/sign"])
def test_a_plan_with_an_unknown_codec_is_skipped(scene: Scene, codec: str) -> None:
    scene.aggregator.announce(1, plan=replace(PLAN, codec=codec))
    device = scene.device()
    scene.settle(device)
    assert isinstance(device.phase, Idle)
    assert scene.aggregator.updates == []
    device.close()


@pytest.mark.parametrize(
    "model",
    [b"\0" * 8, b"\0" * 16, np.array([1, np.nan, 2], "<f4").tobytes()],
    ids=["short", "long", "NaN"],
)
def test_a_model_that_does_not_fit_the_artifact_is_skipped(scene: Scene, model: bytes) -> None:
    scene.aggregator.announce(1, model=scene.aggregator.add_blob(model))
    device = scene.device()
    scene.settle(device)
    assert isinstance(device.phase, Idle)
    assert "global model" in device.phase.why
    device.close()


def test_a_blob_that_is_not_an_artifact_is_skipped(scene: Scene) -> None:
    scene.aggregator.announce(1, artifact=scene.aggregator.add_blob(b"not an artifact"))
    device = scene.device()
    scene.settle(device)
    assert isinstance(device.phase, Idle)
    device.close()


def test_if_examples_do_not_fit_the_artifact_rounds_are_skipped_and_the_aggregator_is_told_why(
    scene: Scene,
) -> None:
    """An artifact comes from outside: it must not stop a device."""
    scene.aggregator.announce(1)
    device = scene.device(data=examples(n_in=3))
    scene.settle(device)
    why = "x: expected shape (n, 2), found (12, 3)"
    skipped = scene.aggregator.states[-1].skipped
    assert skipped is not None
    assert (skipped.round, skipped.why) == (1, why)
    scene.aggregator.announce(2, artifact=scene.aggregator.add_blob(models.linear(3).to_bytes()))
    scene.settle(device)
    assert "global model" in str(device.phase)  # the next artifact fits, but its model is too short
    device.close()


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_whatever_an_artifact_contains_the_device_survives_and_says_why_it_skips(
    scene: Scene, name: str
) -> None:
    """Even after a restart; and the next round, with a sound artifact, is done."""
    data, words = HOSTILE[name]
    scene.aggregator.announce(1, artifact=scene.aggregator.add_blob(data))
    for _ in range(2):
        device = scene.device()
        scene.settle(device)
        skipped = scene.aggregator.states[-1].skipped
        assert skipped is not None
        assert skipped.round == 1
        assert words in skipped.why
        device.close()
        scene.aggregator.work()
    device = scene.device()
    scene.settle(device)
    scene.aggregator.announce(2)
    scene.settle(device)
    assert [update[1] for update in scene.aggregator.updates] == [2]
    device.close()


@pytest.mark.parametrize("where", ["read", "trained", "fetched"])
def test_an_artifact_too_large_for_memory_is_skipped(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 8 GiB")

    places = {"read": Artifact, "trained": Trainer, "fetched": Assembly}
    names = {"read": "from_bytes", "trained": "_start", "fetched": "add"}
    monkeypatch.setattr(places[where], names[where], no_room)
    scene.aggregator.announce(1)
    device = scene.device()
    scene.settle(device)
    skipped = scene.aggregator.states[-1].skipped
    assert skipped is not None
    assert skipped.why.startswith("this machine has too little memory for the job (no room for ")
    monkeypatch.undo()
    scene.aggregator.announce(2)
    scene.settle(device)
    assert [update[1] for update in scene.aggregator.updates] == [2]
    device.close()


def test_a_different_model_drops_the_residual_of_the_previous_one(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    device = scene.device()
    scene.aggregator.announce(1)
    scene.settle(device)
    frozen = models.linear(train_bias=False)
    artifact = scene.aggregator.add_blob(frozen.to_bytes())
    scene.aggregator.announce(2, artifact=artifact)
    scene.settle(device)
    assert "dropped what earlier updates had left unsent" in caplog.text
    assert len(scene.aggregator.updates) == 2
    device.close()
    box = Outbox(scene.folder / "state" / "outbox.sqlite3", fleet=FLEET, device="pi-3")
    assert box.residual(JOB, scene.artifact.schema) is None
    assert box.residual(JOB, frozen.schema) is not None


def test_a_new_aggregator_gets_the_unanswered_update_within_two_seconds(scene: Scene) -> None:
    scene.aggregator.reply = lambda _: None
    scene.aggregator.announce(1)
    device = scene.device()
    scene.run_until(device, lambda: len(scene.aggregator.updates) == 4)
    # The pause after the fourth is 8 to 16 s, so anything sooner is due to the birth.
    scene.bear_aggregator()
    scene.settle(device)  # the clock does not move
    scene.now_s += 2.0
    scene.settle(device)
    assert len(scene.aggregator.updates) == 5
    device.close()


def wait_after_birth_s(scene: Scene) -> float:
    """Seconds until a device that gets no chunks asks for them again."""
    scene.aggregator.serves = False
    scene.aggregator.announce(1)
    device, requests = scene.device(), scene.aggregator.requests
    scene.run_until(device, lambda: len(requests) == 4)
    scene.bear_aggregator()
    born_at_s = scene.now_s
    scene.run_until(device, lambda: len(requests) == 5)
    device.close()
    return scene.now_s - born_at_s


def test_devices_do_not_all_answer_a_new_aggregator_at_the_same_instant(tmp_path: Path) -> None:
    waits = [wait_after_birth_s(Scene(tmp_path / str(number))) for number in range(20)]
    assert all(0 <= wait_s <= 2.0 for wait_s in waits)
    assert len({round(wait_s, 3) for wait_s in waits}) > 10


def test_the_state_topic_says_online_then_offline(scene: Scene) -> None:
    device = scene.device()
    scene.settle(device)
    assert DeviceState.from_bytes(scene.bus.retained[STATE]).presence is Presence.ONLINE
    device.close()
    assert DeviceState.from_bytes(scene.bus.retained[STATE]).presence is Presence.OFFLINE


def test_the_will_of_a_previous_process_does_not_leave_the_device_offline(scene: Scene) -> None:
    device = scene.device()
    scene.settle(device)
    scene.bus.deliver("broker", STATE, GOODBYE, retain=True)
    scene.settle(device)
    assert DeviceState.from_bytes(scene.bus.retained[STATE]).presence is Presence.ONLINE
    device.close()


def test_of_two_devices_with_one_id_the_second_stops_and_the_first_continues(scene: Scene) -> None:
    first = scene.device(name="first")
    scene.settle(first)
    scene.now_s += 3.0
    second = scene.device(name="second", state_dir=scene.folder / "other")
    second.step()
    second.step()
    scene.settle(first)
    with pytest.raises(IdentityError, match="device id 'pi-3' is in use"):
        scene.settle(second)
    second.close()
    scene.settle(first)
    assert DeviceState.from_bytes(scene.bus.retained[STATE]).presence is Presence.ONLINE
    scene.aggregator.announce(1)
    scene.settle(first)
    assert len(scene.aggregator.updates) == 1
    first.close()


def test_two_devices_on_one_state_directory_are_a_storage_error(scene: Scene) -> None:
    first = scene.device()
    with pytest.raises(StorageError, match="in use by another running device"):
        scene.device(name="second")
    first.close()
    scene.device(name="third").close()


def test_a_broker_that_never_answers_is_given_up_after_the_time_set(scene: Scene) -> None:
    device = scene.device(connect_timeout_s=10.0)
    scene.transport.start = lambda: None  # type: ignore[method-assign]
    assert device.step() > 0
    scene.now_s += 9.9
    device.step()
    scene.now_s += 0.1
    with pytest.raises(TransportError, match="never reached in 10 s"):
        device.step()
    device.close()


def test_a_broker_that_was_reached_once_is_waited_for_indefinitely(scene: Scene) -> None:
    device = scene.device(connect_timeout_s=10.0)
    scene.settle(device)
    scene.bus.cut(scene.transport)
    scene.now_s += 10**6
    scene.settle(device)
    device.close()


def test_a_device_without_examples_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--data"):
        Device(id="pi-3", state_dir=tmp_path)


@pytest.mark.parametrize("leaves", [False, True])
def test_it_ends_with_the_job_if_configured_to(scene: Scene, *, leaves: bool) -> None:
    device = scene.device(exit_when_finished=leaves)
    scene.settle(device)
    scene.aggregator.announce(9, state=RoundState.FINISHED)
    scene.settle(device)
    phase = device.phase
    assert (phase, device.is_stopping) == (Finished(), leaves)
    device.close()
    phase = device.phase
    assert phase == Idle("stopped")


def test_a_job_end_known_only_from_the_broker_is_believed_after_a_while(scene: Scene) -> None:
    scene.aggregator.announce(9, state=RoundState.FINISHED)
    device = scene.device(exit_when_finished=True)
    scene.settle(device)
    scene.now_s += 29
    scene.settle(device)
    was_stopping = device.is_stopping
    scene.now_s += 2
    scene.settle(device)
    assert (was_stopping, device.is_stopping) == (False, True)
    device.close()


def test_a_device_that_starts_before_its_aggregator_takes_part_in_the_rounds_added(
    scene: Scene,
) -> None:
    scene.aggregator.announce(9, state=RoundState.FINISHED)
    device = scene.device(exit_when_finished=True)
    scene.settle(device)
    scene.aggregator.announce(10)
    scene.settle(device)
    assert isinstance(device.phase, Answered)
    assert not device.is_stopping
    device.close()


def test_a_manifest_older_than_the_last_answer_starts_nothing_but_is_reported(scene: Scene) -> None:
    """Such as one a broker retained, or one from an aggregator restored from a backup."""
    scene.aggregator.announce(2, sequence=20)
    device = scene.device()
    scene.settle(device)
    scene.kill(device)
    scene.aggregator.announce(1, sequence=10)
    again = scene.device()
    scene.settle(again)
    assert [round_ for _, round_, _, _ in scene.aggregator.updates] == [2]
    followed = scene.aggregator.states[-1].followed
    assert followed == Followed(b"run1", RoundId(2), 20, is_answered=True)
    n_states = len(scene.aggregator.states)
    scene.aggregator.announce(1, sequence=11)
    scene.now_s += 2.1
    scene.settle(again)
    assert len(scene.aggregator.states) == n_states  # it was reported at its birth
    scene.aggregator.announce(3, sequence=21)
    scene.settle(again)
    assert [round_ for _, round_, _, _ in scene.aggregator.updates] == [2, 3]
    scene.aggregator.announce(1, sequence=12)
    scene.settle(again)
    scene.now_s += 2.1
    scene.settle(again)
    followed = scene.aggregator.states[-1].followed
    assert followed == Followed(b"run1", RoundId(3), 21, is_answered=True)
    again.close()


def test_a_device_reports_its_job_and_progress_when_an_aggregator_arrives(scene: Scene) -> None:
    device = scene.device()
    scene.settle(device)
    birth = scene.aggregator.states[-1]
    assert (birth.job, birth.followed) == (JOB, None)
    scene.aggregator.reply = lambda _: None
    scene.aggregator.announce(4, sequence=40)
    scene.settle(device)
    scene.bear_aggregator()
    scene.settle(device)
    scene.now_s += 2.1
    scene.settle(device)
    followed = scene.aggregator.states[-1].followed
    assert followed == Followed(b"run1", RoundId(4), 40, is_answered=False)  # it owes an answer
    device.close()


@pytest.mark.parametrize("skips", [False, True])
def test_a_state_forged_in_its_name_is_contradicted(scene: Scene, *, skips: bool) -> None:
    scene.aggregator.reply = lambda _: None
    scene.aggregator.announce(4)
    device = scene.device()
    scene.settle(device)
    own = scene.aggregator.states[-1]
    forged = replace(own, presence=Presence.OFFLINE)
    if skips:
        forged = replace(own, skipped=Skipped(b"run1", RoundId(4), "not today"))
    scene.bus.deliver("eve", STATE, forged.to_bytes(), retain=True)
    scene.settle(device)
    assert scene.aggregator.states[-2:] == [forged, own]
    device.close()


def test_received_bytes_are_counted_by_round_and_in_total(scene: Scene) -> None:
    device = scene.device()
    for round_ in (1, 2):
        scene.aggregator.announce(round_)
        scene.settle(device)
    report = device.report()
    by_round: Any = report["received_bytes_by_round"]
    assert list(by_round) == ["1", "2"]
    assert by_round["1"] > scene.aggregator.artifact.size_bytes > by_round["2"] > 0
    assert sum(by_round.values()) == report["received_bytes"]
    device.close()


@pytest.mark.parametrize(
    "topic", [ROUND, STATE, f"fedge/v1/{FLEET}/dev/pi-3/in", f"fedge/v1/{FLEET}/srv/main/state"]
)
@given(payload=st.binary(max_size=60))
@example(payload=b"\x81" * 50)
@example(payload=bytes(9000))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_meaningless_bytes_are_dropped_and_counted(
    tmp_path_factory: pytest.TempPathFactory, topic: str, payload: bytes
) -> None:
    scene = Scene(tmp_path_factory.mktemp("hostile"))
    device = scene.device()
    scene.settle(device)
    scene.bus.deliver("stranger", topic, payload, retain=False)
    scene.settle(device)
    assert device.report()["messages_dropped"] == (1 if payload else 0)
    assert device.phase == Idle()
    device.close()


def test_the_example_in_the_class_docstring_trains_a_round(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    doc = inspect.getdoc(Device) or ""
    start = doc.index("    with Device(")
    code = textwrap.dedent(doc[start : doc.index("\n\n", start)])
    scene.aggregator.announce(1)
    used: list[Device] = []

    def read_sensors(pause_s: float) -> None:
        assert 0 <= pause_s <= 0.5
        scene.now_s += pause_s
        scene.aggregator.work()
        if pause_s and scene.aggregator.updates:
            used[0].stop()

    def make(**settings: Any) -> Device:
        state_dir = scene.folder / "state"
        transport = scene.bus.transport("pi-3")
        options = {**settings, "fleet": FLEET, "job": JOB, "state_dir": state_dir}
        used.append(Device(**options, transport=transport, clock=lambda: scene.now_s))
        return used[0]

    names = {"Device": functools.partial(make), "data": examples(), "read_sensors": read_sensors}
    exec(compile(code, "docstring", "exec"), names)  # noqa: S102 - our own docstring
    assert [name for name, *_ in scene.aggregator.updates] == ["pi-3"]
    assert DeviceState.from_bytes(scene.bus.retained[STATE]).presence is Presence.OFFLINE


def test_an_update_of_several_chunks_arrives_even_if_one_is_lost(tmp_path: Path) -> None:
    scene = Scene(tmp_path, models.linear(n_in=50_000))
    scene.aggregator.announce(1, plan=replace(PLAN, codec="none"))
    device = scene.device()
    lost: list[bytes] = []

    def lose_one(topic: str, payload: bytes) -> int:
        if "/up/" in topic and not lost:
            lost.append(payload)
            return 0
        return 1

    scene.bus.copies = lose_one
    scene.run_until(device, lambda: bool(scene.aggregator.updates))
    assert len(lost[0]) > CHUNK_BYTES
    scene.settle(device)
    assert pending(scene.folder) == []
    device.close()
