"""`fedge device`: the runtime of one device, as a process."""

import argparse
import os

from fedge.cli import logs
from fedge.cli.commands import write_json
from fedge.cli.watchdog import stopping_on_signals


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags: every setting of `DeviceConfig`."""
    # NumPy reads these when it is imported. It only moves numbers around here, so threads of its
    # own would cost memory for nothing; onnxruntime takes its threads from --threads.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from fedge.config import settings  # noqa: PLC0415 - imports NumPy, so not before
    from fedge.config.device import DeviceConfig  # noqa: PLC0415

    settings.add_flags(parser, DeviceConfig)
    parser.epilog = (
        "The device trains when the aggregator opens a round, and sends only encoded updates. "
        "With --budget-bytes or --upload-time-s it chooses their codec itself; otherwise the "
        "round's plan does. Everything it keeps is in --state-dir; started there again, it carries "
        "on where it left off. SIGTERM and Ctrl-C stop it cleanly, within five seconds."
    )


def run(args: argparse.Namespace) -> int:
    """Run until a signal, or, with --exit-when-finished, until the job is finished."""
    from fedge.cli.passwords import warn_of_password  # noqa: PLC0415 - see configure
    from fedge.config import settings  # noqa: PLC0415
    from fedge.config.device import DeviceConfig  # noqa: PLC0415
    from fedge.device import Device  # noqa: PLC0415
    from fedge.device.memory import within_memory  # noqa: PLC0415

    config = settings.load_args(DeviceConfig, args)
    logs.set_up(config.log_level, f"device {config.id}")
    warn_of_password(args.broker, "FEDGE_DEVICE_BROKER or --password-file")
    with within_memory():
        device = Device(config)
        with stopping_on_signals(device.stop):
            try:
                device.run()
            finally:
                write_json(args.json, device.report())
    return 0
