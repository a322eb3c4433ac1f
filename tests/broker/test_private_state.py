"""What real processes keep is for their owner's eyes, whatever the umask."""

import stat
from pathlib import Path

import pytest

from tests.support import models
from tests.support.broker import Broker
from tests.support.processes import FedgeProcess, environment, stopping, write_examples

pytestmark = pytest.mark.broker

OPEN_HANDED = ["sh", "-c", 'umask 000; exec "$0" "$@"']


def start(command: str, folder: Path, flags: dict[str, object], *words: str) -> FedgeProcess:
    return FedgeProcess(
        command, folder, flags, words=words, before=OPEN_HANDED, env=environment(folder)
    )


def wide(folder: Path) -> list[str]:
    """What in this folder, or it itself, others may use."""
    found = [folder, *folder.rglob("*")]
    assert len(found) >= 3
    return [f"{path} {path.stat().st_mode:o}" for path in found if path.stat().st_mode & 0o077]


def test_the_states_of_device_and_aggregator_are_private_under_umask_0(
    tmp_path: Path, mosquitto: Broker
) -> None:
    models.linear().save(tmp_path / "model.fedge")
    data = write_examples(tmp_path / "data.npz")
    flags = {"broker": mosquitto.url, "log-level": "debug"}
    aggregator = start(
        "aggregate", tmp_path,
        {**flags, "artifact": tmp_path / "model.fedge", "rounds": 3, "evaluate-every": 0,
         "state-dir": tmp_path / "deep" / "aggregator", "downlink-codec": "topk:0.5/sign"},
    )  # fmt: skip
    device = start(
        "device", tmp_path,
        {**flags, "id": "pi-3", "data": data, "state-dir": tmp_path / "deep" / "device"},
    )  # fmt: skip
    with stopping(aggregator, device):
        assert aggregator.wait(30) == 0, aggregator.said()
        alive = wide(tmp_path / "deep" / "device")  # with the companions of its database
        device.process.terminate()
        assert device.wait() == 0
    assert alive == wide(tmp_path / "deep" / "aggregator") == []
    assert wide(mosquitto.folder) == []


@pytest.mark.parametrize("command", ["device", "aggregate"])
def test_a_wider_state_directory_ends_the_process_with_exit_code_8_and_the_command(
    tmp_path: Path, command: str
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o755)
    models.linear().save(tmp_path / "model.fedge")
    own = {"device": {"data": write_examples(tmp_path / "data.npz")},
           "aggregate": {"artifact": tmp_path / "model.fedge"}}  # fmt: skip
    process = start(command, tmp_path, {**own[command], "state-dir": tmp_path / "state"})
    with stopping(process):
        assert process.wait() == 8
    assert process.said().splitlines()[-1] == (
        f"fedge: others may use {tmp_path}/state (mode 0755), which holds what was learned from "
        f"private data: chmod -R go-rwx {tmp_path}/state"
    )
    assert list((tmp_path / "state").iterdir()) == []


@pytest.mark.slow
def test_a_demos_folder_is_private_under_umask_0(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "first"
    demo = start("demo", tmp_path, {}, "--devices", "1", "--rounds", "1", "--out", str(out))
    with stopping(demo):
        assert demo.wait(60) == 0, demo.said()
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    for name in ("aggregator", "broker", "devices/device-1"):
        assert wide(out / name) == []
