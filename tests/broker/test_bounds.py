"""Updates and statistics that wreck models and end jobs, sent to a real aggregator."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedge import codecs
from fedge.aggregator import open_registry
from fedge.artifact import Artifact, load_artifact
from fedge.codecs import Stamp
from fedge.messages import StatisticsReport
from fedge.simulation.demo import Prepared, prepare
from fedge.simulation.options import DemoOptions
from fedge.training.statistics import FeatureStatistics, federated
from fedge.types import RoundId
from tests.support.aggregator_process import AggregatorProcess, ScriptedFleet
from tests.support.broker import Broker
from tests.support.models import softmax
from tests.support.processes import FedgeProcess, environment
from tests.support.scripted import scripted_payload

pytestmark = pytest.mark.broker

NAMES = ("ann", "bob", "cid", "eve")
ARTIFACT = softmax(n_in=100)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def rounds(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == "round"]


def hostile(value: float) -> Any:
    """The scripted updates, but for eve's: this value in every coordinate, or less it."""

    def payload(artifact: Artifact, name: str, round_: int) -> bytes:
        if name != "eve":
            return scripted_payload(artifact, name, round_)
        signs = np.random.default_rng(round_).choice([-1, 1], artifact.n_trainable)
        stamp = Stamp(schema=artifact.schema[:4], round=round_, n_examples=50)
        delta = (value * signs).astype(np.float32)
        return codecs.get("none").encode(delta, None, np.random.default_rng(0), stamp=stamp)

    return payload


@pytest.mark.parametrize("value", [1e30, 3e38])
def test_a_job_goes_on_without_the_updates_that_would_wreck_its_model(
    stack: ExitStack, tmp_path: Path, any_broker: Broker, value: float
) -> None:
    process = AggregatorProcess(
        tmp_path,
        any_broker.url,
        ARTIFACT,
        codec="none",
        quorum=4,
        rounds=4,
        **{"wait-for": 4, "quarantine-after": "off"},
    )
    stack.callback(process.close)
    fleet = ScriptedFleet(any_broker.url, ARTIFACT, NAMES, payload=hostile(value))
    stack.callback(fleet.close)
    process.start()
    assert fleet.play(lambda: process.exit_code is not None)
    assert process.exit_code == 0, process.log
    found = rounds(tmp_path)
    assert [one["round"] for one in found] == [1, 2, 3, 4]
    assert all([d["device"] for d in one["dropped"]] == ["eve"] for one in found)
    assert not any("note" in one for one in found)
    assert process.log.count("the update of device eve was dropped") == 4
    assert json.loads((tmp_path / "result.json").read_text())["devices_dropped"] == 4
    registry = open_registry(tmp_path / "state")
    moved = registry.parameters(registry.latest()) - ARTIFACT.parameters
    assert (
        0 < np.linalg.norm(moved) < 4 * 0.1 * np.sqrt(ARTIFACT.n_params)
    )  # as the others moved it


def test_norm_bound_off_is_a_flag(stack: ExitStack, tmp_path: Path, any_broker: Broker) -> None:
    process = AggregatorProcess(
        tmp_path, any_broker.url, ARTIFACT, codec="none", quorum=4, rounds=1,
        **{"wait-for": 4, "norm-bound": "off"},
    )  # fmt: skip
    stack.callback(process.close)
    fleet = ScriptedFleet(any_broker.url, ARTIFACT, NAMES, payload=hostile(1e3))
    stack.callback(fleet.close)
    process.start()
    assert fleet.play(lambda: process.exit_code is not None)
    (only,) = rounds(tmp_path)
    assert (only["devices_dropped"], only["devices_clipped"], only["norm_bound"]) == (0, 0, None)
    registry = open_registry(tmp_path / "state")
    moved = registry.parameters(registry.latest()) - ARTIFACT.parameters
    assert np.linalg.norm(moved) > 100


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Three devices' own digits, and a network that learns mean and scale from them."""
    folder = tmp_path_factory.mktemp("digits")
    return prepare(DemoOptions(out=folder, devices=3, standardize=True, alpha=1.0))


@pytest.mark.parametrize(
    ("count", "mean", "m2", "n_examples"),
    [
        (2.0**53, 1.0, 0.0, 1),
        (1.0, 1e38, 1e100, 1),
        (1e7, 1e20, 1e47, 10_000_000),
    ],
)
def test_a_fleet_learns_whatever_one_device_says_of_its_features(
    stack: ExitStack,
    tmp_path: Path,
    any_broker: Broker,
    digits: Prepared,
    *,
    count: float,
    mean: float,
    m2: float,
    n_examples: int,
) -> None:
    """Count 2**53 ended this job in three rounds; the others kept it near one in ten."""
    artifact = load_artifact(digits.artifact)

    def told(artifact: Artifact, _device: str, _round: int) -> bytes:
        features = {
            spec.name: FeatureStatistics(
                *(np.full(spec.statistic_shape, value) for value in (count, mean, m2))
            )
            for spec in federated(artifact.manifest)
        }
        return StatisticsReport(
            schema=artifact.schema, round=RoundId(0), n_examples=n_examples, features=features
        ).to_bytes()

    process = AggregatorProcess(
        tmp_path, any_broker.url, artifact, quorum=3, rounds=12, deadline=3, lr=0.1,
        **{"wait-for": 4, "test-data": digits.test, "local-steps": 20},
    )  # fmt: skip
    stack.callback(process.close)
    fleet = ScriptedFleet(any_broker.url, artifact, ["eve"], payload=told)
    stack.callback(fleet.close)
    process.start()
    for name, data in digits.devices.items():
        flags = {"broker": any_broker.url, "id": name, "data": data, "state-dir": tmp_path / name}
        device = FedgeProcess("device", tmp_path / f"{name}-log", flags, env=environment(tmp_path))
        stack.callback(device.stop)
    (eve,) = fleet.devices
    assert fleet.play(lambda: bool(eve.replies))
    eve.is_able = False  # it has said what it had to say
    assert fleet.play(lambda: process.exit_code is not None, timeout_s=90)
    assert process.exit_code == 0, process.log
    assert rounds(tmp_path)[-1]["accuracy"] > 0.8
