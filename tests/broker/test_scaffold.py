"""SCAFFOLD with real processes, one of which is killed: the model is that of one process."""

import json
import signal
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedge.aggregator import open_registry
from fedge.data import read_npz
from fedge.device.work.seeds import derive_seed
from fedge.strategies import State, algorithms, cohort_of, get
from fedge.strategies.algorithms import Occasion, Sent
from fedge.training import ArrayData, Plan, Trainer
from fedge.types import DeviceId, RoundId, Update, Vector
from tests.support import models
from tests.support.broker import Broker, any_broker
from tests.support.processes import FedgeProcess, environment, stopping, wait_until, write_examples

__all__ = ["any_broker"]
pytestmark = pytest.mark.broker

ROUNDS, N_IN = 4, 20
NAMES = {"ann": 8, "bob": 16, "cid": 24}  # and how many examples each has
PATIENCE_S = 60.0  # on a machine that has much else to do
PLAN = Plan(local_steps=300, batch_size=4, lr=0.01, codec="none", algorithm="scaffold", seed=3)


def examples(folder: Path, name: str) -> Path:
    return write_examples(folder / f"{name}.npz", n=NAMES[name], n_in=N_IN, seed=sum(name.encode()))


def aggregate(folder: Path, url: str) -> FedgeProcess:
    models.linear(n_in=N_IN).save(folder / "linear.fedge")
    flags = {
        "broker": url, "artifact": folder / "linear.fedge", "state-dir": folder / "agg",
        "rounds": ROUNDS, "wait-for": len(NAMES), "quorum": len(NAMES), "deadline-s": 60,
        "norm-bound": "off", "weight-bound": "off", "quarantine-after": "off", "evaluate-every": 0,
        "downlink-codec": "none", "events": folder / "events.jsonl",
        "algorithm": PLAN.algorithm, "local-steps": PLAN.local_steps, "lr": PLAN.lr,
        "batch-size": PLAN.batch_size, "codec": PLAN.codec, "seed": PLAN.seed,
    }  # fmt: skip
    return FedgeProcess("aggregate", folder, flags, env=environment(folder))


def device(folder: Path, url: str, name: str) -> FedgeProcess:
    flags = {
        "broker": url, "id": name, "state-dir": folder / name, "data": examples(folder, name),
    }  # fmt: skip
    return FedgeProcess("device", folder / f"{name}-log", flags, words=["--exit-when-finished"],
                        env=environment(folder))  # fmt: skip


def closed_rounds(folder: Path) -> int:
    path = folder / "events.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return sum(json.loads(line)["event"] == "round" for line in lines if line.endswith("\n"))


def in_one_process(folder: Path) -> State:
    """The state after as many rounds, as the algorithm's docstring says."""
    artifact, algorithm = models.linear(n_in=N_IN), algorithms.get(PLAN.algorithm)
    trainer, strategy, total = Trainer(artifact), get("fedavg"), sum(NAMES.values())
    data = {name: ArrayData.of(read_npz(examples(folder, name))) for name in NAMES}
    state, server = algorithm.init(strategy.init(artifact.parameters)), dict[str, Vector]()
    own: dict[str, Vector | None] = dict.fromkeys(NAMES)
    for round_ in range(1, ROUNDS + 1):
        updates: dict[DeviceId, Update] = {}
        for name in NAMES:
            seed = derive_seed(PLAN.seed, DeviceId(name), RoundId(round_), "training")
            terms = algorithm.local(PLAN, server, own[name])
            plan = replace(PLAN, seed=seed, proximal=terms.proximal)
            update = trainer.fit(state.parameters, data[name], plan, terms.correction)
            sent = Sent(update.delta, update.n_steps)
            own[name] = algorithm.after(PLAN, server, own[name], sent)
            updates[DeviceId(name)] = update
        occasion = Occasion(plan=PLAN, fleet_examples=total, server=server)
        state = algorithm.step(strategy, state, cohort_of(updates), occasion)
        server = algorithm.server(state, total)
    return state


def test_a_killed_device_comes_back_and_the_model_is_that_of_one_process(
    tmp_path: Path, any_broker: Broker
) -> None:
    url = any_broker.url
    running = [aggregate(tmp_path, url), *(device(tmp_path, url, name) for name in NAMES)]
    victim = running[1 + list(NAMES).index("bob")]
    with stopping(*running):
        wait_until(lambda: closed_rounds(tmp_path) >= 1, PATIENCE_S)
        victim.process.send_signal(signal.SIGKILL)
        victim.wait()
        again = device(tmp_path, url, "bob")
        with stopping(again):
            for process in (running[0], again):
                assert process.wait(PATIENCE_S) == 0, process.said()
    registry = open_registry(tmp_path / "agg")
    want = in_one_process(tmp_path)
    found = registry.parameters(registry.latest())
    np.testing.assert_allclose(found, want.parameters, rtol=1e-4, atol=1e-6)
    with sqlite3.connect(tmp_path / "agg" / "state.sqlite3") as db:
        (n_counted,) = db.execute("SELECT count(*) FROM applied").fetchone()
    assert n_counted == ROUNDS * len(NAMES)
    plain = np.abs(found - models.linear(n_in=N_IN).parameters).max()
    assert plain > 0.1  # it has learned something
