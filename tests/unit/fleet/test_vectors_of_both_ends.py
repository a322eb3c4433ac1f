"""The law of algorithms with vectors on both ends, whatever is killed, cut off, late or refused.

    The aggregator's vector is the sum of the devices' own, each times its number of examples.

It knows them only from what it was sent, so this holds only if a device's vector follows from what
was counted, and from nothing else.
"""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from fedge.device.state.outbox import Outbox
from fedge.device.state.own_vector import own_key
from fedge.strategies import algorithms
from fedge.types import JobId
from tests.support.world import AggregatorProcess, DeviceProcess, World

N_EXAMPLES = 12  # of every device
N_FAULTS = 10


def wound(world: World) -> None:
    """Do one thing that happens in the field."""
    aggregator: AggregatorProcess = world.aggregators["one"]
    device = world.rng.choice(list(world.devices.values()))
    match world.rng.choice(["kill", "start", "cut", "join", "crash", "lose", "lose", "find"]):
        case "kill":
            device.kill(silently=world.rng.random() < 0.5)
        case "start":
            device.start()
        case "cut":
            device.cut()
        case "join":
            device.join()
        case "crash":
            aggregator.kill()
            aggregator.start()
        case "lose":  # its updates do not arrive, and are late when they do
            world.bus.copies = lambda topic, _payload: int(not topic.endswith(f"/{device.name}"))
        case _:
            world.bus.copies = lambda _topic, _payload: 1


def own_vector(device: DeviceProcess, job: AggregatorProcess, algorithm: str) -> np.ndarray:
    """Of a stopped device, once all its updates are answered; zeros if it has none."""
    with sqlite3.connect(job.folder / "state.sqlite3") as db:
        counted = {nonce for (nonce,) in db.execute("SELECT nonce FROM update_")}
    device.world.stepping = device  # whose books a refusal goes into
    box = Outbox(device.folder / "outbox.sqlite3", fleet="default", device=device.name)
    try:
        for nonce in box.pending():
            (box.accept if nonce in counted else box.refuse)(nonce)
        schema, n = device.world.artifact.schema, device.world.artifact.n_trainable
        found = box.own(JobId("one"), own_key(algorithm, 0, schema))
        return np.zeros(n) if found is None else found.astype(float)
    finally:
        box.close()


@pytest.mark.parametrize("spec", ["scaffold", "feddyn:alpha=0.5"])
@pytest.mark.parametrize(("seed", "codec"), [(1, "topk:0.34/sign"), (2, "int8"), (3, "none")])
def test_the_sum_is_that_of_the_devices(
    tmp_path: Path, spec: str, seed: int, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, seed, monkeypatch)
    settings = {
        "rounds": 10, "deadline_s": 3.0, "quorum": 1, "wait_for": 1, "local_steps": 2,
        "batch_size": 4, "lr": 0.05, "codec": codec, "algorithm": spec, "norm_bound": None,
    }  # fmt: skip
    job = world.add_job("one", 3, **settings)
    for _ in range(N_FAULTS):
        wound(world)
        world.live(world.rng.choice([0.25, 0.5, 2, 4]))
    world.bus.copies = lambda _topic, _payload: 1
    for process in world.processes:
        process.start()
        process.join()
    world.live(60)  # to the end of the job
    assert not job.is_up
    n_refused = sum(len(d.books.given_back | d.books.dropped) for d in world.devices.values())
    world.close()

    name = algorithms.get(spec).name
    want = sum(N_EXAMPLES * own_vector(one, job, name) for one in world.devices.values())
    job.start()
    (memory,) = (job.core._job.model.state.memory[one] for one in algorithms.get(spec).memory_names)
    world.close()
    assert np.abs(want).max() > 0.1
    np.testing.assert_allclose(memory, want, rtol=1e-4, atol=1e-4)
    assert n_refused > 0
