"""Two devices of one job, one of them behind a slow link; processes, any_broker, the aggregator."""

import json
import sqlite3
from pathlib import Path

import pytest

from tests.support import models
from tests.support.broker import Broker
from tests.support.processes import (
    FedgeProcess,
    environment,
    stopping,
    wait_until,
    write_examples,
)
from tests.support.slow_link import slow_link

pytestmark = [pytest.mark.broker, pytest.mark.slow]

ROUNDS, SIZE = 6, 40_000  # parameters: 160 kB of float32
RATE, UPLOAD_TIME_S = 20_000, 1.0  # bytes/s of the slow link, and the time for an update


def test_each_device_sends_what_its_own_link_carries_and_both_are_accepted(
    tmp_path: Path, any_broker: Broker
) -> None:
    with slow_link(any_broker.port, RATE) as slow_url:
        urls = {"fast": any_broker.url, "slow": slow_url}
        aggregator = start_aggregator(tmp_path, any_broker.url)
        devices = {name: start_device(tmp_path, name, url) for name, url in urls.items()}
        with stopping(aggregator, *devices.values()):
            for process in (aggregator, *devices.values()):
                assert process.wait(60) == 0, process.said()
    sizes = accepted_sizes(tmp_path)
    reports = {name: json.loads((tmp_path / name / "report.json").read_text()) for name in urls}
    for name in urls:
        assert len(sizes[name]) == reports[name]["updates_accepted"] == ROUNDS
        budgets = list(reports[name]["budget_bytes_by_round"].values())
        assert budgets[0] == 4096
        assert all(size <= most for size, most in zip(sizes[name], budgets, strict=True))
    slow_budget_bytes = RATE * UPLOAD_TIME_S  # headers and the way there and back take a little
    assert all(size <= slow_budget_bytes for size in sizes["slow"])
    assert sizes["slow"][-1] > 0.5 * slow_budget_bytes
    assert sizes["fast"][-1] > 4 * sizes["slow"][-1]
    assert 0.5 * RATE < reports["slow"]["uplink_bytes_per_s"] <= RATE
    assert "budget 4096 bytes" in devices["slow"].said()


def test_what_a_device_measured_is_known_after_a_restart(
    tmp_path: Path, any_broker: Broker
) -> None:
    with slow_link(any_broker.port, RATE) as url:
        aggregator = start_aggregator(tmp_path, any_broker.url, **{"wait-for": 1, "quorum": 1})
        device = start_device(tmp_path, "slow", url)
        with stopping(aggregator, device):
            wait_until(lambda: "round 3: budget " in device.said(), 30)
            device.process.kill()
            device.wait()
            again = start_device(tmp_path, "slow", url)
            with stopping(again):
                assert aggregator.wait(60) == 0, aggregator.said()
                assert again.wait(60) == 0, again.said()
    report = json.loads((tmp_path / "slow" / "report.json").read_text())
    budgets = report["budget_bytes_by_round"].values()
    assert all(0.5 * RATE * UPLOAD_TIME_S < most <= RATE * UPLOAD_TIME_S for most in budgets)


def start_aggregator(folder: Path, url: str, **more: object) -> FedgeProcess:
    models.linear(n_in=SIZE - 1, batch_size=1).save(folder / "linear.fedge")
    flags = {
        "broker": url, "artifact": folder / "linear.fedge", "state-dir": folder / "state",
        "rounds": ROUNDS, "wait-for": 2, "quorum": 2, "deadline-s": 60, "local-steps": 4,
        "batch-size": 1, "lr": 1e-7, "codec": "none", "downlink-codec": "topk:0.01/sign",
        "evaluate-every": 0, **more,
    }  # fmt: skip
    return FedgeProcess("aggregate", folder, flags, env=environment(folder))


def start_device(folder: Path, name: str, url: str) -> FedgeProcess:
    flags = {
        "broker": url, "id": name, "state-dir": folder / name / "state",
        "data": write_examples(folder / f"{name}.npz", n=8, n_in=SIZE - 1),
        "upload-time-s": UPLOAD_TIME_S, "json": folder / name / "report.json",
    }  # fmt: skip
    words = ["--exit-when-finished"]
    return FedgeProcess("device", folder / name, flags, words=words, env=environment(folder))


def accepted_sizes(folder: Path) -> dict[str, list[int]]:
    """Bytes of the updates that the aggregator has on its disk, by device, in order of rounds."""
    sizes: dict[str, list[int]] = {}
    with sqlite3.connect(folder / "state" / "state.sqlite3") as db:
        for device, size_bytes in db.execute(
            "SELECT device, size_bytes FROM update_ ORDER BY round"
        ):
            sizes.setdefault(device, []).append(size_bytes)
    db.close()
    return sizes
