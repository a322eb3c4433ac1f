"""`fedge device` as a process of its own, with examples to train on."""

from pathlib import Path

from tests.support.processes import FedgeProcess, environment, write_examples
from tests.support.scripted_aggregator import FLEET, JOB


def start(folder: Path, broker: str, *words: str, **flags: object) -> FedgeProcess:
    """The device pi-3; its state is in a folder of its own within this one."""
    data = write_examples(folder / "data.npz")
    named = {"broker": broker, "fleet": FLEET, "job": JOB, "id": "pi-3", "data": data}
    state = {"state-dir": folder / "state"}
    return FedgeProcess(
        "device", folder, {**named, **state, **flags}, words=words, env=environment(folder)
    )
