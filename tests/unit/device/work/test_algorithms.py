"""A device that a plan asks for an algorithm."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedge import codecs
from fedge.cli.main import main
from fedge.device import Device
from fedge.device.state.directory import PERSONAL
from fedge.device.state.outbox import Outbox
from fedge.device.state.own_vector import own_key
from fedge.device.work.seeds import derive_seed
from fedge.messages import (
    EvaluationReport,
    Reason,
    Refused,
    Reply,
    RoundKind,
    ServerRef,
    ServerVectors,
    UpdateChunk,
)
from fedge.training import ArrayData, Plan, Trainer
from fedge.training.holdout import held_out
from fedge.types import DeviceId, JobId, RoundId, Update, Vector
from tests.support.device_scene import Scene, examples
from tests.support.scripted_aggregator import FLEET, JOB, PLAN

SCAFFOLD = replace(PLAN, algorithm="scaffold", codec="none", weight_decay=0.01)
C = np.array([0.5, -1, 2], np.float32)


def announce(scene: Scene, round_: int, plan: Plan, c: Vector | None = None, **more: Any) -> None:
    """A round, in which devices need this vector."""
    server = ServerRef(0)
    if c is not None:
        payload = codecs.get("none").encode(c, None, np.random.default_rng(0))
        server = ServerRef(
            0, scene.aggregator.add_blob(ServerVectors({"control": payload}).to_bytes())
        )
    scene.aggregator.announce(round_, plan=plan, server=server, wants_facts=True, **more)


def own(scene: Scene, algorithm: str = "scaffold", since: int = 0) -> Any:
    """What the device keeps, or None, read as another process would."""
    box = Outbox(scene.folder / "state" / "outbox.sqlite3", fleet=FLEET, device="pi-3")
    try:
        return box.own(JOB, own_key(algorithm, since, scene.artifact.schema))
    finally:
        box.close()


def keep_own(scene: Scene, vector: Vector) -> None:
    """Replace the device's personal model."""
    box = Outbox(scene.folder / "state" / "outbox.sqlite3", fleet=FLEET, device="pi-3")
    key = own_key("ditto", 0, scene.artifact.schema)
    with box.database.transaction() as db:
        data = vector.astype("<f4").tobytes()
        db.execute("INSERT OR REPLACE INTO own VALUES (?,?,?)", (JobId(JOB), key, data))
    box.close()


def trained(scene: Scene, round_: int, plan: Plan, correction: Vector | None) -> Update:
    """What the plan's steps give with this correction."""
    seed = derive_seed(plan.seed, DeviceId("pi-3"), RoundId(round_), "training")
    fit = Trainer(scene.artifact).fit
    return fit(scene.artifact.parameters, examples(), replace(plan, seed=seed), correction)


def sent(scene: Scene, place: int = -1) -> Vector:
    return codecs.decode(scene.aggregator.updates[place][3]).to_dense()


class Death(BaseException):
    """The process ends here."""


def refuse(chunk: UpdateChunk) -> Reply:
    return Refused(job=JOB, round=chunk.round, nonce=chunk.nonce, reason=Reason.LATE, detail="")


def play(scene: Scene, device: Device, round_: int, plan: Plan, c: Vector | None = None) -> None:
    n = len(scene.aggregator.updates)
    announce(scene, round_, plan, c)
    scene.run_until(device, lambda: len(scene.aggregator.updates) > n)
    scene.settle(device)


def test_scaffold_corrects_the_steps_and_learns_from_what_was_sent(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    device = scene.device()
    play(scene, device, 1, SCAFFOLD)
    first = trained(scene, 1, SCAFFOLD, None).delta
    np.testing.assert_array_equal(sent(scene), first)
    c_i = -first / np.float32(SCAFFOLD.lr * 3)
    np.testing.assert_allclose(own(scene), c_i, rtol=1e-5)

    play(scene, device, 2, SCAFFOLD, C)
    second = trained(scene, 2, SCAFFOLD, C - c_i.astype(np.float32)).delta
    np.testing.assert_allclose(sent(scene), second, rtol=1e-4, atol=1e-7)
    want = c_i - C - sent(scene) / (SCAFFOLD.lr * 3)
    np.testing.assert_allclose(own(scene), want, rtol=1e-4)
    device.close()


def test_a_lossy_codec_changes_it_by_what_the_payload_says(tmp_path: Path) -> None:
    scene, plan = Scene(tmp_path), replace(SCAFFOLD, codec="topk:0.34/sign")
    device = scene.device()
    play(scene, device, 1, plan)
    payload = sent(scene)
    assert np.count_nonzero(payload) == 2
    np.testing.assert_allclose(own(scene), -(0.34**0.5) * payload / (plan.lr * 3), rtol=1e-5)
    device.close()


def test_a_refused_update_has_not_changed_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    device = scene.device()
    play(scene, device, 1, SCAFFOLD)
    before = own(scene)
    assert before is not None
    scene.aggregator.reply = refuse
    play(scene, device, 2, SCAFFOLD, C)
    np.testing.assert_allclose(own(scene), before, rtol=1e-5, atol=1e-6)
    device.close()


def test_a_death_between_training_and_outbox_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = Scene(tmp_path / "calm")
    device = calm.device()
    for round_, c in ((1, None), (2, C)):
        play(calm, device, round_, SCAFFOLD, c)
    device.close()

    def die(*_: object, **__: object) -> None:
        raise Death

    scene = Scene(tmp_path / "killed")
    device = scene.device()
    play(scene, device, 1, SCAFFOLD)
    announce(scene, 2, SCAFFOLD, C)
    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "put", die)
        with pytest.raises(Death):
            scene.settle(device)
    device._outbox.close()
    scene.kill(device)
    again = scene.device()
    scene.run_until(again, lambda: len(scene.aggregator.updates) == 2)
    scene.settle(again)
    again.close()
    np.testing.assert_array_equal(own(scene), own(calm))
    np.testing.assert_array_equal(sent(scene), sent(calm))


def test_vectors_of_an_earlier_beginning_are_void(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    device = scene.device()
    play(scene, device, 1, SCAFFOLD)
    scene.aggregator.announce(2, plan=SCAFFOLD, server=ServerRef(1), wants_facts=True)
    scene.run_until(device, lambda: len(scene.aggregator.updates) == 2)
    scene.settle(device)
    np.testing.assert_array_equal(sent(scene), trained(scene, 2, SCAFFOLD, None).delta)
    assert own(scene) is None
    assert own(scene, since=1) is not None
    device.close()


def test_an_algorithm_that_the_device_does_not_know_is_said_aloud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    scene = Scene(tmp_path)
    device = scene.device()
    announce(scene, 1, replace(PLAN, algorithm="moon:mu=1"))
    scene.settle(device)
    assert scene.aggregator.updates == []
    assert "skipping round 1: unknown algorithm 'moon'" in caplog.text
    device.close()


@pytest.mark.parametrize("data", [b"rubbish", ServerVectors({"control": b"no"}).to_bytes()])
def test_vectors_that_cannot_be_read_cost_the_round_and_no_more(
    tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(tmp_path)
    device = scene.device()
    server = ServerRef(0, scene.aggregator.add_blob(data))
    scene.aggregator.announce(1, plan=SCAFFOLD, server=server)
    scene.settle(device)
    assert "skipping round 1" in caplog.text
    play(scene, device, 2, SCAFFOLD)
    device.close()


def test_feddyn_pulls_and_subtracts_what_it_learned(tmp_path: Path) -> None:
    scene, plan = Scene(tmp_path), replace(PLAN, algorithm="feddyn:alpha=0.5", codec="none")
    device = scene.device()
    play(scene, device, 1, plan)
    pulled = replace(plan, proximal=0.5)
    np.testing.assert_array_equal(sent(scene), trained(scene, 1, pulled, None).delta)
    g_k = own(scene, "feddyn")
    np.testing.assert_array_equal(g_k, np.float32(-0.5) * sent(scene))
    play(scene, device, 2, plan)
    assert g_k is not None
    np.testing.assert_array_equal(sent(scene), trained(scene, 2, pulled, -g_k).delta)
    device.close()


def test_ditto_sends_what_fedavg_does_and_keeps_a_model_of_its_own(tmp_path: Path) -> None:
    """The file is the personal model, whose loss on the device's examples is the lower one."""
    scene, plan = Scene(tmp_path), replace(PLAN, algorithm="ditto:lam=0.1", codec="none")
    device = scene.device()
    for round_ in range(1, 9):
        play(scene, device, round_, plan)
    np.testing.assert_array_equal(sent(scene), trained(scene, 8, plan, None).delta)
    path = tmp_path / "state" / PERSONAL
    assert path.stat().st_mode & 0o777 == 0o600
    personal = np.frombuffer(path.read_bytes(), "<f4")
    np.testing.assert_array_equal(personal, own(scene, "ditto"))
    device.close()
    model = tmp_path / "own.onnx"
    assert main(["export", "--personal", str(tmp_path / "state"), "-o", str(model)]) == 0
    assert model.read_bytes() == scene.artifact.to_onnx(
        personal, metadata={"fedge.artifact_sha256": scene.artifact.sha256}
    )
    evaluate = Trainer(scene.artifact).evaluate
    one_round = scene.artifact.parameters + sent(scene)
    assert evaluate(personal, examples()).loss < evaluate(one_round, examples()).loss


def evaluated(scene: Scene, device: Device, round_: int, plan: Plan) -> EvaluationReport:
    scene.aggregator.announce(round_, kind=RoundKind.EVALUATION, plan=plan)
    scene.settle(device)
    return EvaluationReport.from_bytes(scene.aggregator.updates[-1][3], scene.artifact.manifest)


def test_a_device_s_own_model_is_evaluated_on_what_neither_has_seen(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    plan = replace(PLAN, algorithm="ditto:lam=0.1", codec="none", validation=0.25)
    device = scene.device()
    assert evaluated(scene, device, 1, plan).personal is None  # it has none yet
    for round_ in range(2, 6):
        play(scene, device, round_, plan)
    scene.kill(device)
    device = scene.device()
    found = evaluated(scene, device, 6, plan)
    device.close()
    seed = derive_seed(plan.seed, DeviceId("pi-3"), RoundId(0), "validation")
    chosen, data = held_out(12, 0.25, seed), examples()
    held = ArrayData({"x": data.inputs["x"][chosen]}, data.targets[chosen])
    personal = np.frombuffer((tmp_path / "state" / PERSONAL).read_bytes(), "<f4")
    evaluate = Trainer(scene.artifact).evaluate
    assert found.sums.mean_loss == evaluate(scene.artifact.parameters, held).loss
    assert found.personal is not None
    assert found.personal.n_examples == 3
    assert found.personal.mean_loss == evaluate(personal, held).loss
    assert found.personal.mean_loss < found.sums.mean_loss


@pytest.mark.parametrize("algorithm", ["fedavg", "scaffold", "of_a_later_release"])
def test_without_a_model_of_its_own_a_device_reports_on_the_global_one_alone(
    tmp_path: Path, algorithm: str
) -> None:
    scene, plan = Scene(tmp_path), replace(PLAN, algorithm=algorithm, validation=0.25)
    device = scene.device()
    found = evaluated(scene, device, 1, plan)
    device.close()
    assert (found.sums.n_examples, found.personal) == (3, None)


def test_a_model_of_its_own_that_cannot_be_judged_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(tmp_path)
    plan = replace(PLAN, algorithm="ditto", codec="none", validation=0.25)
    device = scene.device()
    play(scene, device, 1, plan)
    keep_own(scene, np.full(3, 3e38, np.float32))
    found = evaluated(scene, device, 2, plan)
    device.close()
    assert found.personal is None
    assert "round 2: left out this device's own model" in caplog.text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--personal"], "there is no personal.f32 in"),
        (["--personal", "--round", "1"], "leave out --round"),
    ],
)
def test_a_device_without_a_model_of_its_own_has_none_to_export(
    tmp_path: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", *words, str(tmp_path), "-o", str(tmp_path / "own.onnx")]) != 0
    assert sentence in capsys.readouterr().err


def test_a_personal_model_that_diverges_stays_as_it_was_and_the_update_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scene, plan = Scene(tmp_path), replace(PLAN, algorithm="ditto:lam=1000", codec="none", lr=1.0)
    plan = replace(plan, local_steps=1)
    device = scene.device()
    play(scene, device, 1, plan)
    keep_own(scene, np.full(3, 3e38, np.float32))
    play(scene, device, 2, plan)
    assert "the personal model stays as it was" in caplog.text
    assert len(scene.aggregator.updates) == 2
    device.close()
