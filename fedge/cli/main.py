"""The `fedge` command, and the one sentence that says what each of its commands does."""

from collections.abc import Sequence

from fedge.cli.commands import Program

COMMANDS = {
    "demo": "train a fleet of processes on this machine: broker, aggregator and devices",
    "build": "make a training artifact from an ONNX model",
    "check": "verify an artifact: hashes, shapes, gradient",
    "inspect": "say what a fedge file, payload or state directory holds",
    "broker": "run an MQTT broker for a benchmark or a demo",
    "aggregate": "run the aggregator: it opens rounds, makes models and serves the devices",
    "device": "run a device: it trains on its own data when a round asks it to",
    "quarantine": "show whose updates do not count, or say so by hand",
    "export": "write a trained model as ONNX for inference",
    "bench": "measure kernels, codecs, and what a device and an update cost, next to their peers",
}

_FEDGE = Program("fedge", "Federated learning for small devices over MQTT.", "fedge.cli", COMMANDS)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the result is the process's exit code."""
    return _FEDGE.main(argv)
