"""The device's half of the card: this process is the device, and measures its own costs.

It runs the same runtime with the same settings as `fedge device`, through `Device.step`, and checks
after every step what the device is doing. That needs neither onnx nor any part of the aggregator,
so it works on a board.
"""

import sys
from pathlib import Path

from fedge.bench.device import first_step, fresh, installed
from fedge.bench.device.figures import Card, Figures
from fedge.bench.device.meter import Meter
from fedge.config.device import DeviceConfig
from fedge.device import Device
from fedge.device.work.phases import Training
from fedge.errors import ConfigError
from fedge.transport.url import BrokerUrl

_ROOTS = {"onnxruntime": ["fedge"], "reference": ["fedge", "onnx"]}  # by engine


def measure(config: DeviceConfig, *, repeats: int) -> Card:
    """Take part in a job until it is finished, and return what it cost.

    Args:
        config: the device's; its state directory should be empty, so that everything is fetched.
        repeats: number of start-ups, in fresh interpreters.

    Raises:
        FedgeError: like `Device.run`; also if the job had fewer than two rounds.
    """
    if config.data is None:
        raise ConfigError("a device needs examples: give --data FILE.npz")
    rounds, engine = _take_part(config)
    files = [str(_artifact(config)), str(config.data)]
    program = [sys.executable, "-P", first_step.__file__, engine, *files]
    start = fresh.start_up(program, repeats=repeats)
    found = installed.measure(_ROOTS[engine])
    return Card(
        who=f"fedge {found.versions.get('fedge', 'not installed')}, {engine}",
        figures=size(found) | start | rounds,
        installed=found.sizes,
    )


def size(found: installed.Installed) -> Figures:
    """The total, and a note of what it leaves out."""
    absent = ", ".join(found.missing)
    notes = {"installed_bytes": f"without {absent}: not installed here"} if absent else {}
    return Figures({"installed_bytes": sum(found.sizes.values())}, notes)


def _take_part(config: DeviceConfig) -> tuple[Figures, str]:
    """The cost, and the engine that trained."""
    meter = Meter(BrokerUrl.parse(config.broker).port)
    was_training = False
    with Device(config, exit_when_finished=True) as device:
        pause_s = 0.0
        while not device.is_stopping:
            pause_s = device.step(pause_s)
            is_training = isinstance(device.phase, Training)
            if is_training != was_training:
                meter.enter("training" if is_training else "upload")
                was_training = is_training
        return meter.figures(), str(device.report()["engine"])


def _artifact(config: DeviceConfig) -> Path:
    """The artifact that the device fetched and trained last."""
    kept = (config.state_dir / "artifacts").iterdir()
    return max(kept, key=lambda path: path.stat().st_mtime_ns)
