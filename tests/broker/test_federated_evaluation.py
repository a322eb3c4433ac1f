"""A job without test data: real processes evaluate the model on what each of them holds out."""

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn

from fedge.aggregator import open_registry
from fedge.aggregator.state.folder import StateFolder
from fedge.artifact import Artifact
from fedge.cli.main import main
from fedge.device.state.directory import PERSONAL
from fedge.device.work.seeds import derive_seed
from fedge.training.holdout import held_out
from fedge.types import Array, DeviceId, RoundId
from tests.support.aggregator_process import AggregatorProcess, ScriptedFleet
from tests.support.broker import Broker
from tests.support.evaluations import report_of
from tests.support.laws import check_laws
from tests.support.models import softmax
from tests.support.processes import FedgeProcess, environment, stopping
from tests.support.scripted import scripted_payload

pytestmark = pytest.mark.broker

ARTIFACT = softmax(n_in=4, n_out=3, batch_size=8)
SIZES = {"ann": 40, "bob": 25, "cid": 60}
SEED, SHARE = 3, 0.2


def data_of(device: str) -> tuple[Array, Array, Array]:
    """Examples of a device, and which of them are for evaluation; bob's file marks its own."""
    rng = np.random.default_rng(len(device) + SIZES[device])
    x = rng.normal(size=(SIZES[device], 4)).astype(np.float32)
    y = (x @ rng.normal(size=(4, 3)) + rng.normal(size=(SIZES[device], 3))).argmax(1)
    if device == "bob":
        return x, y, np.arange(25) % 5 == 2
    seed = derive_seed(SEED, DeviceId(device), RoundId(0), "validation")
    is_test = np.zeros(len(y), np.bool_)
    is_test[held_out(len(y), SHARE, seed)] = True
    return x, y, is_test


def judged(parameters: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Losses and chosen classes, computed here."""
    w, b = parameters[:12].reshape(4, 3).astype(np.float64), parameters[12:]
    scores = x @ w + b
    log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    return -log_p[np.arange(len(y)), y], scores.argmax(1)


def play(broker: Broker, folder: Path, **settings: object) -> dict[str, Any]:
    """Run the job to its end; the aggregator's result."""
    ARTIFACT.save(folder / "model.fedge")
    env = environment(folder)
    asked = {
        "broker": broker.url, "artifact": folder / "model.fedge", "state-dir": folder / "state",
        "rounds": 3, "evaluate-every": 2, "wait-for": 3, "quorum": 3, "local-steps": 5,
        "seed": SEED, "validation": SHARE, "lr": 0.2, "json": folder / "result.json", **settings,
    }  # fmt: skip
    processes = [FedgeProcess("aggregate", folder, asked, env=env)]
    for name in SIZES:
        x, y, is_test = data_of(name)
        named = {"is_test": is_test} if name == "bob" else {"name": np.array(name)}
        np.savez(folder / f"{name}.npz", allow_pickle=False, x=x, y=y, **named)
        own = {
            "broker": broker.url, "id": name, "data": folder / f"{name}.npz",
            "state-dir": folder / name,
        }  # fmt: skip
        processes.append(FedgeProcess("device", folder, own, env=env))
    with stopping(*processes):
        assert processes[0].process.wait(60) == 0, processes[0].said()
    assert "examples of 3 devices: accuracy" in processes[0].said()
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def test_the_fleet_s_metrics_are_those_computed_centrally(
    any_broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = play(any_broker, tmp_path)
    kinds = [report["kind"] for report in result["round_reports"]]
    assert kinds == ["training", "training", "evaluation", "training", "evaluation"]
    registry = open_registry(tmp_path / "state")
    model = StateFolder(tmp_path / "state").read_held(registry.latest())  # as devices hold it
    parts = {name: data_of(name) for name in SIZES}
    held = {name: (x[is_test], y[is_test]) for name, (x, y, is_test) in parts.items()}
    by_device = {name: judged(model, *own) for name, own in held.items()}
    losses = np.concatenate([one for one, _ in by_device.values()])
    chosen = np.concatenate([one for _, one in by_device.values()])
    truth = np.concatenate([y for _, y in held.values()])
    found = result["devices"]
    assert (found["round"], found["devices"], found["examples"]) == (5, 3, len(truth))
    assert found["accuracy"] == pytest.approx(sklearn.accuracy_score(truth, chosen))
    assert found["loss"] == pytest.approx(losses.mean(), rel=1e-5)
    want = sklearn.confusion_matrix(truth, chosen, labels=range(3))
    assert found["confusion"] == want.tolist()
    accuracies = [(by_device[name][1] == held[name][1]).mean() for name in SIZES]
    assert found["quantiles"]["accuracy"][1] == pytest.approx(np.median(accuracies))
    assert found["worst_tenth"]["accuracy"] == pytest.approx(min(accuracies))
    best = max(
        (report for report in result["round_reports"] if report["kind"] == "evaluation"),
        key=lambda report: (report["devices"]["accuracy"], -report["devices"]["loss"]),
    )
    assert result["best"]["round"] == best["round"] - 1
    output = tmp_path / "best.onnx"
    assert main(["export", str(tmp_path / "state"), "--best", "-o", str(output)]) == 0
    assert f"of round {best['round'] - 1}" in capsys.readouterr().out
    assert output.stat().st_size > 0


def test_with_ditto_the_result_has_the_personal_models_metrics(
    any_broker: Broker, tmp_path: Path
) -> None:
    """Computed here from the files that the devices keep for themselves."""
    result = play(any_broker, tmp_path, algorithm="ditto:lam=0.1")
    right, losses = [], []
    for name in SIZES:
        personal = np.frombuffer((tmp_path / name / PERSONAL).read_bytes(), "<f4")
        x, y, is_test = data_of(name)
        loss, chosen = judged(personal, x[is_test], y[is_test])
        losses.append(loss)
        right.append(chosen == y[is_test])
    found = result["devices"]
    own = found["personal"]
    assert (own["devices"], own["examples"]) == (3, found["examples"])
    assert own["accuracy"] == pytest.approx(np.concatenate(right).mean())
    assert own["loss"] == pytest.approx(np.concatenate(losses).mean(), rel=1e-5)
    assert own["worst_tenth"]["loss"] == pytest.approx(max(map(np.mean, losses)), rel=1e-5)
    assert own["loss"] < found["loss"]  # each device has labels of its own


SEAMS = [
    "fedge.aggregator.state.store:Store.close_evaluation",
    "fedge.aggregator.state.evaluation_table:insert_evaluation",
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("place", SEAMS)
def test_killed_while_an_evaluation_closes_it_finds_the_same(
    mosquitto: Broker, tmp_path: Path, place: str, when: str
) -> None:
    """Rounds 1 and 3 train, 2 and 4 evaluate; it dies in round 4, and no report is lost."""
    names, folder = ("ann", "bob"), tmp_path / "state"
    flags: dict[str, object] = {
        "codec": "none", "rounds": 2, "quorum": 2, "wait-for": 2, "evaluate-every": 1
    }  # fmt: skip
    process = AggregatorProcess(tmp_path, mosquitto.url, ARTIFACT, **flags)
    fleet = ScriptedFleet(mosquitto.url, ARTIFACT, names, payload=scripted_answer)
    with closing(process), closing(fleet):
        process.start_to_crash(place, when)
        assert fleet.play(lambda: process.exit_code is not None), process.log
        assert process.exit_code == -signal.SIGKILL, process.log
        check_laws(folder)
        process.start()
        assert fleet.play(lambda: process.exit_code is not None), process.log
        assert process.exit_code == 0, process.log
        assert fleet.play(fleet.have_finished, timeout_s=5)
    check_laws(folder)
    with sqlite3.connect(folder / "state.sqlite3") as db:
        found = db.execute("SELECT round, version, n_examples, accuracy FROM evaluation").fetchall()
        (n_said,) = db.execute("SELECT count(*) FROM device_evaluation").fetchone()
    assert found == [(2, 1, 20, 0.2), (4, 2, 20, 0.4)]
    assert n_said == 4
    assert [sorted(device.accepted) for device in fleet.devices] == [[1, 2, 3, 4]] * 2


def scripted_answer(artifact: Artifact, device: str, round_: int) -> bytes:
    """An update in odd rounds; in even ones, as many of ten answers are right as the round says."""
    if round_ % 2:
        return scripted_payload(artifact, device, round_)
    return report_of(artifact, round_, 10, round_, 1.0)
