"""Rounds in which devices evaluate the model: when, by whom, and what comes of it."""

import json
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedge.aggregator import open_registry
from fedge.aggregator.state.by_hand import decide_by_hand
from fedge.artifact import Artifact
from fedge.cli.inspect import describe
from fedge.errors import ConfigError
from fedge.messages import RoundKind
from fedge.types import DeviceId, RoundId
from tests.support.aggregator_by_hand import Bench
from tests.support.evaluations import report_of
from tests.support.laws import check_laws
from tests.support.models import linear, softmax
from tests.support.scripted import ScriptedDevice, scripted_payload
from tests.support.sent_values import sending

# device, round -> examples, right, loss; right and loss of its own model
Told = Callable[[str, int], tuple[int, int, float] | tuple[int, int, float, tuple[int, float]]]


class Fleet(Bench):
    """Scripted devices that train, and evaluate as the test says."""

    def __init__(self, folder: Path, told: Told, *names: str, **settings: Any) -> None:
        self.told = told
        given = {"wait_for": len(names), "quorum": len(names), "evaluate_every": None, **settings}
        super().__init__(folder, **given)
        self.add(*names, payload=self.answer)

    def answer(self, artifact: Artifact, device: str, round_: int) -> bytes:
        manifest = self.devices[device].manifest
        assert manifest is not None
        if manifest.kind is RoundKind.EVALUATION:
            return report_of(artifact, round_, *self.told(device, round_))
        return scripted_payload(artifact, device, round_)

    def rounds(self) -> list[dict[str, Any]]:
        lines = [json.loads(x) for x in (self.folder / "events.jsonl").read_text().splitlines()]
        return [line for line in lines if line["event"] == "round"]

    def kinds(self) -> str:
        """The kind of each round, by its first letter."""
        return "".join(line["kind"][0] for line in self.rounds())


def steady(_device: str, _round: int) -> tuple[int, int, float]:
    return 10, 5, 1.0


@pytest.mark.parametrize(
    ("rounds", "every", "kinds"),
    [
        (12, None, "t" * 10 + "e" + "tt" + "e"),  # the default without test data
        (10, None, "t" * 10 + "e"),
        (1, None, "te"),
        (4, 2, "ttette"),
        (3, 1, "tetete"),
        (2, 0, "tt"),
    ],
)
def test_devices_evaluate_after_every_so_many_rounds_and_after_the_last(
    tmp_path: Path, rounds: int, every: int | None, kinds: str
) -> None:
    fleet = Fleet(tmp_path, steady, "ann", "bob", rounds=rounds, evaluate_every=every)
    fleet.settle(n_steps=500)
    assert all(device.has_finished() for device in fleet.devices.values())
    assert fleet.kinds() == kinds
    assert [line["round"] for line in fleet.rounds()] == list(range(1, len(kinds) + 1))
    fleet.aggregator.close()
    models = open_registry(tmp_path / "state").models()
    assert len(models) == 1 + rounds  # an evaluation makes none
    check_laws(tmp_path / "state")


def test_with_test_data_devices_evaluate_only_if_they_are_asked_to(tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", x=np.eye(2, dtype=np.float32), y=np.array([0, 1]))
    fleet = Fleet(tmp_path, steady, "ann", rounds=2, test_data=tmp_path / "all.npz")
    fleet.settle()
    assert fleet.kinds() == "tt"
    assert fleet.devices["ann"].manifest is not None
    assert fleet.devices["ann"].manifest.plan.validation == 0


def test_without_test_data_a_tenth_is_held_out_unless_the_settings_say_otherwise(
    tmp_path: Path,
) -> None:
    for folder, share, want in (("a", None, 0.1), ("b", 0.25, 0.25), ("c", 0.0, 0.0)):
        (tmp_path / folder).mkdir()
        fleet = Fleet(tmp_path / folder, steady, "ann", rounds=1, validation=share)
        fleet.settle()
        assert fleet.devices["ann"].manifest is not None
        assert fleet.devices["ann"].manifest.plan.validation == want


def test_the_devices_own_models_are_summed_up_beside_the_global_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Ann's own model: 10 of 10; bob's: 15 of 20; cid has none yet."""
    caplog.set_level(logging.INFO)
    told: dict[str, Any] = {
        "ann": (10, 9, 1.0, (10, 0.5)),
        "bob": (20, 10, 2.0, (15, 1.0)),
        "cid": (30, 6, 3.0),
    }
    fleet = Fleet(tmp_path, lambda name, _: told[name], *told, rounds=1)
    fleet.settle()
    found = fleet.rounds()[-1]["devices"]
    assert (found["devices"], found["examples"]) == (3, 60)
    assert found["accuracy"] == pytest.approx(25 / 60)
    own = found["personal"]
    assert (own["devices"], own["examples"]) == (2, 30)
    assert own["accuracy"] == pytest.approx(25 / 30)
    assert own["loss"] == pytest.approx((5 + 20) / 30)
    assert own["worst_tenth"]["accuracy"] == pytest.approx(0.75)
    assert own["quantiles"]["accuracy"] == pytest.approx([0.775, 0.875, 0.975])
    assert "round 2: their own models on 30 examples of 2 devices: accuracy 83.33%" in caplog.text
    check_laws(tmp_path / "state")


@pytest.mark.parametrize(("n_held_out", "is_suspect"), [(10, True), (9, False)])
def test_who_finds_the_model_far_worse_than_all_others_and_pushes_back_is_suspect(
    tmp_path: Path, n_held_out: int, *, is_suspect: bool
) -> None:
    """Either alone is no reason. Nine examples have any loss by chance, so they say nothing."""
    names = ("ann", "bob", "cid", "dan", "fay", "eve")

    def found(name: str, _round: int) -> tuple[int, int, float]:
        return (n_held_out, 0, 9.0) if name == "eve" else (10, 8, 1.0)

    def answer(artifact: Artifact, name: str, round_: int) -> bytes:
        manifest = fleet.devices[name].manifest
        assert manifest is not None
        if manifest.kind is RoundKind.EVALUATION:
            return report_of(artifact, round_, *found(name, round_))
        return sending({"eve": -1.0})(artifact, name, round_)

    fleet = Fleet(tmp_path, found, *names, rounds=3, evaluate_every=1)
    fleet.add(*names, payload=answer)
    fleet.settle(n_steps=400)
    assert fleet.kinds() == "tetete"
    suspects = [[one["device"] for one in line["suspect"]] for line in fleet.rounds()[::2]]
    assert suspects == [[], *([["eve"]] if is_suspect else [[]]) * 2]
    if is_suspect:
        (reason,) = (one["reason"] for one in fleet.rounds()[2]["suspect"])
        # (9 - 1) / 5 % of 1
        assert "a loss 160.0 deviations above the median" in reason


def test_no_device_owns_the_result_of_the_personal_models(tmp_path: Path) -> None:
    """A liar's loss counts five times the median at most, as that of the global model does."""
    told: dict[str, Any] = dict.fromkeys(("ann", "bob", "cid", "dan"), (10, 5, 1.0, (8, 0.5)))
    told["eve"] = (10, 5, 1.0, (0, 1e20))
    fleet = Fleet(tmp_path, lambda name, _: told[name], *told, rounds=1)
    fleet.settle()
    own = fleet.rounds()[-1]["devices"]["personal"]
    # She may be five medians away from the median: 0.5 + 5 * 0.5.
    assert own["loss"] == pytest.approx((4 * 0.5 + 3.0) / 5)
    assert own["quantiles"]["loss"][1] == pytest.approx(0.5)


def test_inspect_has_what_devices_found_of_each_model(tmp_path: Path) -> None:
    """Two models of four rounds are evaluated, the second with 5 and the fourth with 8 of 10."""
    right = {3: 5, 6: 8}
    fleet = Fleet(tmp_path, lambda _, n: (10, right[n], 1.5), "ann", rounds=4, evaluate_every=2)
    fleet.settle()
    fleet.aggregator.close()
    state = tmp_path / "state"
    found = [(one["devices_accuracy"], one["devices_loss"]) for one in describe(state)["models"]]
    assert found == [(None, None), (None, None), (0.5, 1.5), (None, None), (0.8, 1.5)]
    with closing(sqlite3.connect(state / "state.sqlite3")) as db:  # as an older release left it
        db.executescript("DROP TABLE device_evaluation; DROP TABLE evaluation;")
    assert {one["devices_accuracy"] for one in describe(state)["models"]} == {None}


def test_the_event_the_result_the_database_and_the_log_say_what_was_found(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Right answers: 9 of 10, 10 of 20 and 6 of 30 make 25 of 60; the median device has half."""
    caplog.set_level(logging.INFO)
    told = {"ann": (10, 9, 1.0), "bob": (20, 10, 2.0), "cid": (30, 6, 3.0)}
    fleet = Fleet(tmp_path, lambda name, _: told[name], *told, rounds=1)
    fleet.settle()
    event = fleet.rounds()[-1]
    found = event["devices"]
    assert (event["kind"], event["devices_accepted"], event["accuracy"]) == ("evaluation", 3, None)
    assert (found["devices"], found["examples"]) == (3, 60)
    assert found["accuracy"] == pytest.approx(25 / 60)
    assert found["loss"] == pytest.approx((10 + 40 + 90) / 60)
    assert found["quantiles"]["accuracy"] == pytest.approx([0.26, 0.5, 0.82])
    assert found["worst_tenth"]["accuracy"] == pytest.approx(0.2)
    assert found["confusion"] == [[0, 0, 0], [35, 25, 0], [0, 0, 0]]
    # All are chosen with confidence e / (e + 2) = .576; right are 25 of 60.
    assert found["calibration_error"] == pytest.approx(np.e / (np.e + 2) - 25 / 60, abs=1e-6)
    result = fleet.aggregator.report()
    assert result["devices"] == {"round": 2, **found}
    assert result["best"]["by"] == "devices_accuracy"
    line = "round 2: on 60 examples of 3 devices: accuracy 41.67% (median 50.00%, worst tenth 20.0"
    assert line in caplog.text
    record = fleet.aggregator._on.store.last_evaluation()
    assert record is not None
    assert (record.round, record.version, record.n_examples) == (2, 1, 60)
    losses = [(one.device, one.n_examples, one.loss, one.accuracy) for one in record.devices]
    assert losses == [("ann", 10, 1, 0.9), ("bob", 20, 2, 0.5), ("cid", 30, 3, 0.2)]


def test_numbers_have_errors_instead_of_accuracy(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, steady, "ann", "bob", rounds=1, artifact=linear())
    fleet.settle()
    found = fleet.rounds()[-1]["devices"]
    assert (found["loss"], found["rmse"], found["mae"]) == (1, 1, 1)
    assert "accuracy" not in found
    assert fleet.aggregator.report()["best"]["by"] == "devices_loss"


def test_one_liar_is_bounded_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def told(device: str, _round: int) -> tuple[int, int, float]:
        return (9_999, 0, 1e29) if device == "eve" else (10, 9, 1.0 + int(device) / 10)

    fleet = Fleet(tmp_path, told, "1", "2", "3", "4", "eve", rounds=1)
    fleet.settle()
    event = fleet.rounds()[-1]
    assert event["clipped"] == [{"device": "eve"}]
    assert event["devices"]["examples"] == 40 + 30  # three medians: the weight bound
    assert event["devices"]["loss"] < 7
    assert "1 updates were scaled down to what the other devices report: eve" in caplog.text


def test_a_device_in_quarantine_has_no_say(tmp_path: Path) -> None:
    """The others have 9 of 10 right and 18 of 20; eve, who says 0 of 10, is named."""
    told = {"ann": (10, 9, 1.0), "bob": (20, 18, 1.0), "eve": (10, 0, 9.0)}
    fleet = Fleet(tmp_path, lambda name, _: told[name], *told, rounds=1, quorum=2)
    decide_by_hand(tmp_path / "state", DeviceId("eve"), is_out=True, reason="broken", since="now")
    fleet.settle()
    event = fleet.rounds()[-1]
    assert (event["kind"], event["devices"]["devices"]) == ("evaluation", 2)
    assert event["devices"]["accuracy"] == pytest.approx(27 / 30)
    assert [one["device"] for one in event["quarantined"]] == ["eve"]


def test_more_examples_than_a_device_may_have_are_refused(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, lambda *_: (101, 0, 1.0), "ann", rounds=1, max_examples=100)
    fleet.settle()
    (refusal,) = fleet.devices["ann"].refusals
    assert refusal.detail == "examples: expected at most 100, found 101"


@pytest.mark.parametrize("how", ["skips", "is mute", "sends a delta"])
def test_a_device_that_evaluates_nothing_never_stops_the_job(tmp_path: Path, how: str) -> None:
    fleet = Fleet(tmp_path, steady, "ann", rounds=2, evaluate_every=1, deadline_s=30, max_missed=1)
    ann = fleet.devices["ann"]
    read, send = ann._read, ann.send

    def acting(message: Any) -> None:
        ann.is_able = True
        read(message)

    def sending() -> None:
        if ann.manifest is None or ann.manifest.kind is RoundKind.TRAINING:
            send()
        elif how == "skips":
            ann.is_able = False
            ann.skip(ann.manifest.round)
        elif how == "sends a delta":
            ann.send_payload(
                scripted_payload(fleet.artifact, "ann", 1), ann.manifest.round, b"8" * 8
            )

    ann._read, ann.send = acting, sending  # type: ignore[method-assign] # the test's own
    for _ in range(4):
        fleet.settle()
        fleet.wait(31)
    assert ann.has_finished()
    assert fleet.kinds() == "tete"
    for event in fleet.rounds()[1::2]:
        assert event["devices"] is None
        assert "0 devices have evaluated the model, and the quorum is 1" in event["note"]


def test_reports_of_fewer_devices_than_the_quorum_give_no_result(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, steady, "ann", "bob", rounds=1, deadline_s=30)
    bob, send = fleet.devices["bob"], fleet.devices["bob"].send

    def training_only() -> None:
        if bob.manifest is not None and bob.manifest.kind is RoundKind.TRAINING:
            send()

    bob.send = training_only  # type: ignore[method-assign] # the test's own
    fleet.settle()
    assert fleet.kinds() == "t"
    fleet.wait(31)
    event = fleet.rounds()[-1]
    assert (event["kind"], event["devices"], event["devices_accepted"]) == ("evaluation", None, 1)
    assert [one["device"] for one in event["missing"]] == ["bob"]
    assert fleet.aggregator._on.store.last_evaluation() is None


def last_model(folder: Path) -> bytes:
    registry = open_registry(folder / "state")
    return registry.parameters(registry.latest()).tobytes()


def test_killed_after_any_step_it_finds_the_same(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "rounds": 2, "evaluate_every": 1, "strategy": "fedadam:lr=0.05",
        "downlink_codec": "topk:0.1/sign", "artifact": softmax(n_in=100),
    }  # fmt: skip

    def told(device: str, round_: int) -> tuple[int, int, float]:
        return (10, 3 + round_, 1 / round_) if device == "ann" else (20, round_, 2 / round_)

    (tmp_path / "calm").mkdir()
    calm = Fleet(tmp_path / "calm", told, "ann", "bob", **settings)
    calm.settle(n_steps=500)
    calm.aggregator.close()
    (tmp_path / "killed").mkdir()
    fleet = Fleet(tmp_path / "killed", told, "ann", "bob", **settings)
    rng = np.random.default_rng(0)
    for _ in range(300):
        fleet.settle(n_steps=int(rng.integers(1, 4)))
        if all(device.has_finished() for device in fleet.devices.values()):
            break
        fleet.kill()
        check_laws(fleet.folder / "state")
        fleet.begin()
        fleet.time.now_s += 1  # so that devices send again
    assert fleet.n_starts > 4
    fleet.aggregator.close()
    assert fleet.kinds() == calm.kinds() == "tete"
    assert [one["devices"] for one in fleet.rounds()] == [one["devices"] for one in calm.rounds()]
    assert last_model(fleet.folder) == last_model(calm.folder)
    with sqlite3.connect(fleet.folder / "state" / "state.sqlite3") as db:
        assert db.execute("SELECT count(*), count(applied_in) FROM update_").fetchone() == (8, 8)
        assert db.execute("SELECT count(*) FROM device_evaluation").fetchone() == (4,)


def silence(device: ScriptedDevice, kind: RoundKind) -> Callable[[], None]:
    """Let it answer no round of this kind; what lets it speak again."""
    send = device.send

    def other_kinds() -> None:
        if device.manifest is None or device.manifest.kind is not kind:
            send()

    def speak() -> None:
        device.send = send  # type: ignore[method-assign] # as it was

    device.send = other_kinds  # type: ignore[method-assign] # the test's own
    return speak


def test_what_was_accepted_for_an_abandoned_evaluation_is_in_no_model(tmp_path: Path) -> None:
    """The job is put back by a backup and goes on without evaluations: the report is no delta."""
    fleet = Fleet(tmp_path, steady, "ann", "bob", rounds=2, evaluate_every=1)
    speak = silence(fleet.devices["bob"], RoundKind.EVALUATION)
    fleet.settle()
    job = fleet.aggregator._job
    assert job.round is not None
    assert (job.round.kind, list(job.round.accepted)) == ("evaluation", ["ann"])
    job.leap(job.last_number + 5, job.sequence + 5)
    fleet.settings["evaluate_every"] = 0
    fleet.kill()
    fleet.begin()
    speak()
    fleet.time.now_s += 1
    fleet.settle()
    assert fleet.devices["ann"].has_finished()
    assert fleet.kinds() == "tt"
    assert [event["devices_dropped"] for event in fleet.rounds()] == [0, 0]
    check_laws(tmp_path / "state")


def test_updates_of_an_abandoned_round_wait_until_the_evaluation_is_over(tmp_path: Path) -> None:
    """Evaluations are switched on while one update of a training round is in no model yet."""
    fleet = Fleet(tmp_path, steady, "ann", "bob", rounds=3, evaluate_every=0)
    bob = fleet.devices["bob"]
    while bob.accepted != [1]:
        fleet.settle(n_steps=1)
    speak = silence(bob, RoundKind.TRAINING)
    fleet.settle()
    job = fleet.aggregator._job
    assert job.round is not None
    assert (job.round.kind, list(job.round.accepted)) == ("training", ["ann"])
    job.leap(job.last_number + 5, job.sequence + 5)
    fleet.settings["evaluate_every"] = 1
    fleet.kill()
    fleet.begin()
    fleet.time.now_s += 1
    fleet.settle()
    assert fleet.kinds() == "te"
    assert fleet.aggregator._on.store.taken()[RoundId(2)].keys() == {"ann"}
    check_laws(tmp_path / "state")
    speak()
    fleet.time.now_s += 1
    fleet.settle()
    assert fleet.kinds() == "tetete"
    with sqlite3.connect(tmp_path / "state" / "state.sqlite3") as db:
        found = db.execute("SELECT device, applied_in FROM update_ WHERE round = 2").fetchall()
    assert found == [("ann", 2)]  # it counts in the next model


def test_a_finished_job_of_before_is_not_opened_again_for_an_evaluation(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, steady, "ann", rounds=1, evaluate_every=0)
    fleet.settle()
    fleet.aggregator.close()
    fleet.settings["evaluate_every"] = None
    again = fleet.begin()
    assert again.run()["is_finished"]
    assert fleet.kinds() == "t"
    fleet.settings["rounds"] = 2
    fleet.begin()
    fleet.settle()
    assert fleet.kinds() == "tte"


Scores = dict[int, tuple[float, float]]  # by evaluation round: accuracy in tenths, loss
# Evaluations of models 1 to 5, in rounds 2, 4, 6, 8 and 10.
COURSE: Scores = {2: (5, 1.0), 4: (8, 0.5), 6: (7, 0.25), 8: (7, 0.75), 10: (9, 2.0)}


def course(_device: str, round_: int) -> tuple[int, int, float]:
    accuracy, loss = COURSE[round_]
    return 10, int(accuracy), loss


@pytest.mark.parametrize(
    ("settings", "n_models", "end", "best"),
    [
        ({"rounds": 5}, 5, "rounds", 9),
        ({"rounds": 5, "stop_after": 2}, 4, "stop_after", 3),
        ({"rounds": 5, "stop_after": 3}, 5, "rounds", 9),
        ({"rounds": 5, "stop_after": 1}, 3, "stop_after", 3),
        ({"rounds": 5, "stop_after": 1, "best_by": "devices_loss"}, 4, "stop_after", 5),
        ({"rounds": 5, "best_by": "devices_loss"}, 5, "rounds", 5),
        ({"rounds": 5, "target_accuracy": 0.8}, 2, "target_accuracy", 3),
        ({"rounds": 4}, 4, "rounds", 3),
    ],
)
def test_the_devices_decide_when_training_ends_and_which_model_is_the_best(
    tmp_path: Path, settings: dict[str, Any], n_models: int, end: str, best: int
) -> None:
    """The best model is the one of training round `best`, whose evaluation is the round after."""
    fleet = Fleet(tmp_path, course, "ann", evaluate_every=1, keep_models=1, **settings)
    fleet.settle(n_steps=500)
    assert fleet.devices["ann"].has_finished()
    assert fleet.aggregator._job.end == end
    result = fleet.aggregator.report()
    assert (result["rounds"], result["best"]["round"]) == (n_models, best)
    fleet.aggregator.close()
    registry = open_registry(tmp_path / "state")
    found = registry.best()
    assert (found.round, registry.is_kept(found)) == (best, True)
    assert registry.by_devices(found) == (COURSE[best + 1][1], COURSE[best + 1][0] / 10)
    kept = [one.round for one in registry.models() if registry.is_kept(one)]
    assert kept == sorted({best, 2 * n_models - 1})


def test_the_test_data_decide_where_they_are_asked_to(tmp_path: Path) -> None:
    """Two examples that no model of the script ever gets better at: it ends after the first."""
    np.savez(tmp_path / "all.npz", x=np.zeros((2, 2), np.float32), y=np.array([0, 1]))
    fleet = Fleet(
        tmp_path, course, "ann", rounds=50, test_data=tmp_path / "all.npz", stop_after=2,
        best_by="test_accuracy",
    )  # fmt: skip
    fleet.settle(n_steps=500)
    events = fleet.rounds()
    accuracies = [(-event["accuracy"], event["loss"]) for event in events]
    place = min(range(len(events)), key=lambda one: (accuracies[one], one))
    assert len(events) == place + 1 + 2
    assert fleet.aggregator.report()["best"]["round"] == events[place]["round"]


@pytest.mark.parametrize(
    ("settings", "artifact", "sentence"),
    [
        ({"best_by": "test_loss"}, None, "best_by: test_loss needs test data"),
        ({"best_by": "devices_loss", "evaluate_every": 0}, None, "needs evaluate_every above 0"),
        ({"stop_after": 1, "evaluate_every": 0}, None, "stop_after: no model is evaluated"),
        ({"target_accuracy": 1, "evaluate_every": 0}, None, "target_accuracy: no model is"),
        ({"best_by": "devices_accuracy"}, linear(), "numbers, which have no accuracy"),
        ({"target_accuracy": 0.5}, linear(), "numbers, which have no accuracy"),
        ({"best_by": "luck"}, None, "expected one of devices_accuracy, devices_loss, test_ac"),
        ({"evaluate_every": -1}, None, "evaluate_every"),
        ({"validation": 1.0}, None, "validation"),
    ],
)
def test_settings_that_wait_for_what_never_comes_are_refused(
    tmp_path: Path, settings: dict[str, Any], artifact: Artifact | None, sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Fleet(tmp_path, steady, "ann", artifact=artifact, **settings)
    assert sentence in str(caught.value)
