"""What a job has come to, from the database alone."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fedge.aggregator.job import Premises
from fedge.messages import RoundKind

_SUMS = ("uplink_bytes", "downlink_bytes", "float32_uplink_bytes", "refused", "devices_late")
_PACKAGES = ("fedge", "numpy", "onnxruntime", "paho-mqtt", "cbor2")


def outcome(premises: Premises) -> dict[str, Any]:
    """Rounds, final metrics, the model's hash, totals of bytes: the same after a restart."""
    reports = premises.store.reports()
    model = premises.store.latest_model()
    totals = {name: sum(report[name] for report in reports) for name in _SUMS}
    return {
        "job": premises.config.job,
        "rounds": sum(report["kind"] == RoundKind.TRAINING for report in reports),
        "accuracy": model.accuracy,
        "loss": model.loss,
        "model_sha256": model.sha256.hex(),
        **totals,
        "state_dir": str(premises.config.state_dir),
    }


def versions() -> dict[str, str]:
    """Of Python and the packages that the result depends on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
