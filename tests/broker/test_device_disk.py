"""`fedge device` on a small partition, with a real broker."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedge.artifact import Artifact
from fedge.device.state.disk import needed_bytes
from fedge.transport.mqtt import MqttTransport
from tests.support import models
from tests.support.broker import Broker, any_broker
from tests.support.processes import FedgeProcess, environment, stopping, wait_until
from tests.support.scripted_aggregator import FLEET, JOB, PLAN, ScriptedAggregator
from tests.support.tools import missing

__all__ = ["any_broker"]
pytestmark = pytest.mark.broker

ROUNDS = 25


@pytest.fixture
def partition(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes a file system of so many bytes; skips where nobody may."""
    with ExitStack() as stack:

        def mount(size_bytes: int) -> Path:
            place = tmp_path / f"disk-{size_bytes}"
            place.mkdir()
            command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(place)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                missing(f"no file system can be mounted here: {done.stderr.strip()}")
            stack.callback(subprocess.run, ["umount", "-l", str(place)], check=True)
            return place

        yield mount


def start(folder: Path, url: str, state: Path, artifact: Artifact) -> FedgeProcess:
    (spec,) = artifact.manifest.inputs
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, *spec.shape)).astype(np.float32)
    y = rng.normal(size=(20, *artifact.manifest.target.shape)).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=y)
    flags = {
        "broker": url, "fleet": FLEET, "job": JOB, "id": "pi-3", "data": folder / "data.npz",
        "state-dir": state,
    }  # fmt: skip
    return FedgeProcess("device", folder, flags, env=environment(folder))


def test_a_device_lives_on_4_mib_round_after_round(
    tmp_path: Path, any_broker: Broker, partition: Callable[[int], Path]
) -> None:
    """The model is nearly as large as the formula allows; each round has another one."""
    artifact = models.linear(n_in=100, n_out=1440)
    size = len(artifact.to_bytes())
    assert 0.95 < needed_bytes(size, artifact.n_params, artifact.n_trainable) / 2**22 < 1
    state = partition(2**22) / "state"
    aggregator = ScriptedAggregator(MqttTransport(any_broker.url, "scripted"), artifact)
    wait_until(lambda: aggregator.is_connected, work=aggregator.work)
    device = start(tmp_path, any_broker.url, state, artifact)
    most_used = 0
    with stopping(device):
        for number in range(1, ROUNDS + 1):
            values = artifact.parameters + np.float32(0.001 * number)
            model = aggregator.add_blob(values.astype("<f4").tobytes())
            plan = replace(PLAN, codec="topk:0.01/sign")
            aggregator.announce(number, model=model, plan=plan)
            wait_until(
                lambda n=number: len(aggregator.updates) == n or device.process.poll() is not None,  # type: ignore[misc] # of the loop
                work=aggregator.work,
            )
            assert device.process.poll() is None, device.said()
            most_used = max(most_used, shutil.disk_usage(state).used)
        assert len(list((state / "models").iterdir())) == 2
    aggregator.close()
    assert most_used < needed_bytes(size, artifact.n_params, artifact.n_trainable)


def test_a_model_that_the_disk_is_too_small_for_is_refused_with_numbers_and_exit_code_8(
    tmp_path: Path, any_broker: Broker, partition: Callable[[int], Path]
) -> None:
    artifact = models.linear(n_in=100, n_out=1440)
    state = partition(3 << 20) / "state"
    aggregator = ScriptedAggregator(MqttTransport(any_broker.url, "scripted"), artifact)
    wait_until(lambda: aggregator.is_connected, work=aggregator.work)
    aggregator.announce(1)
    device = start(tmp_path, any_broker.url, state, artifact)
    with stopping(device):
        wait_until(lambda: device.process.poll() is not None, work=aggregator.work)
        assert device.wait() == 8
    aggregator.close()
    *_, last = device.said().splitlines()
    assert "the disk of" in last
    assert "is too small: a model of 145440 parameters needs 3.8" in last
    assert "and there are 3.00 MiB" in last
    assert "Traceback" not in device.said()
