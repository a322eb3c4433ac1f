"""The example files of docs/examples drive real processes, with addresses and names of the test."""

import json
import socket
from pathlib import Path

import pytest

from tests.support import models
from tests.support.processes import (
    FedgeProcess,
    environment,
    stopping,
    wait_until,
    write_examples,
)

pytestmark = pytest.mark.broker

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def test_broker_aggregator_and_devices_run_a_job_from_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the files' paths are relative
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"mqtt://127.0.0.1:{port}"
    models.linear().save(tmp_path / "model.fedge")
    write_examples(tmp_path / "examples.npz")
    write_examples(tmp_path / "test.npz", seed=6)

    def start(command: str, folder: str, **flags: object) -> FedgeProcess:
        file = EXAMPLES / f"{'aggregator' if command == 'aggregate' else command}.toml"
        given = {"config": file, **flags}
        return FedgeProcess(command, tmp_path / folder, given, env=environment(tmp_path))

    broker = start("broker", "b", port=port)
    aggregator = start("aggregate", "a", broker=url, rounds=2, lr=0.05)
    devices = [
        start("device", name, broker=url, id=name, **{"state-dir": f"state-{name}"})
        for name in ("kitchen", "garage")
    ]
    with stopping(broker, aggregator, *devices):
        wait_until(lambda: aggregator.process.poll() is not None, timeout_s=60)
        assert aggregator.process.returncode == 0, aggregator.said()
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    rounds = [line for line in lines if line["event"] == "round"]
    assert [line["devices_accepted"] for line in rounds] == [2, 2]
    assert (tmp_path / "fedge-aggregator" / "state.sqlite3").exists()
