"""Results of a round and of a job, from the database alone."""

import platform
from itertools import islice
from typing import Any

from fedge.aggregator.rounds.context import Context
from fedge.aggregator.state.records import ModelRecord, Tally
from fedge.messages import RoundKind
from fedge.rounds import Round
from fedge.version import installed

_SUMS = (
    "uplink_bytes",
    "downlink_bytes",
    "float32_uplink_bytes",
    "refused",
    "devices_late",
    "devices_dropped",
    "devices_clipped",
    "devices_capped",
)
_MOST_NAMED = 1000
_PACKAGES = ("fedge", "numpy", "onnxruntime", "paho-mqtt", "cbor2")


def round_event(
    context: Context, round_: Round, model: ModelRecord, tally: Tally
) -> dict[str, Any]:
    """The event of a round that is about to close, including counts not yet stored."""
    record = context.store.current_round()
    uplink, downlink = (record.uplink_bytes, record.downlink_bytes) if record else (0, 0)
    n_refused = sum(context.store.refusals(round_.id).values()) + sum(tally.refusals.values())
    is_training = round_.kind == RoundKind.TRAINING
    dense_bytes = 4 * context.artifact.n_trainable if is_training else 0
    return {
        "event": "round",
        "time": context.clock.timestamp(),
        "round": round_.id,
        "kind": round_.kind,
        "accuracy": model.accuracy,
        "loss": model.loss,
        "uplink_bytes": uplink + tally.uplink_bytes,
        "downlink_bytes": downlink + tally.downlink_bytes,
        "float32_uplink_bytes": round_.n_accepted * dense_bytes,
        "devices_expected": round_.n_asked,
        "devices_accepted": round_.n_accepted,
        "devices_lost": round_.n_lost,
        "devices_skipped": round_.n_skipped,
        "missing": missing(round_),
        "refused": n_refused,
        "model_sha256": model.sha256.hex(),
    }


def missing(round_: Round) -> list[dict[str, str]]:
    """Devices that were asked and are not counted, and why; the first thousand of them."""
    reasons = islice(round_.missing.items(), _MOST_NAMED)
    return [{"device": device, "reason": reason} for device, reason in reasons]


def outcome(context: Context) -> dict[str, Any]:
    """Rounds, final metrics, the model's hash and byte totals; a restart does not change them."""
    reports = context.store.reports()
    model = context.store.latest_model()
    totals = {name: sum(report.get(name, 0) for report in reports) for name in _SUMS}
    return {
        "job": context.config.job,
        "rounds": sum(report["kind"] == RoundKind.TRAINING for report in reports),
        "accuracy": model.accuracy,
        "loss": model.loss,
        "model_sha256": model.sha256.hex(),
        **totals,
        "state_dir": str(context.config.state_dir),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the result depends on."""
    return {"python": platform.python_version()} | installed(_PACKAGES)
