"""The `fedge` command and what it can do."""

from collections.abc import Sequence

from fedge.cli.commands import Program

COMMANDS = {
    "demo": "train a fleet of processes on this machine: broker, aggregator and devices",
    "build": "make a training artifact from an ONNX model",
    "check": "verify an artifact: hashes, shapes, gradient",
    "inspect": "say what a fedge file, payload or state directory holds",
    "broker": "run an MQTT broker for a bench or a demo",
    "aggregate": "run the aggregator: rounds, models, what the devices need",
    "device": "run a device: train on its own data when a round asks for it",
    "export": "write a trained model as ONNX for inference",
    "bench": "measure kernels against their peers, codecs by bytes, what a device costs",
}

_FEDGE = Program("fedge", "Federated learning for small devices over MQTT.", "fedge.cli", COMMANDS)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the result is the process's exit code."""
    return _FEDGE.main(argv)
