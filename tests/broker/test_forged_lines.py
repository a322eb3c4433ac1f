"""What strangers write into messages forges no line of a log, and colours no terminal."""

import re
from pathlib import Path

import pytest

from fedge.messages import DeviceState, Presence, RoundManifest, Skipped, Topics
from fedge.messages.reply import Reason, Refused
from fedge.transport import Message
from tests.support import models
from tests.support.broker import Broker
from tests.support.processes import (
    FedgeProcess,
    environment,
    stopping,
    wait_until,
    write_examples,
)
from tests.support.transports import next_event, transport

pytestmark = pytest.mark.broker

FORGED = "no\n2026-01-31 12:00:00 INFO all is well\x1b[2J\x9b31m\u202e\u2028"
SHOWN = r"no\n2026-01-31 12:00:00 INFO all is well\x1b[2J\x9b31m\u202e\u2028"
_LINE = re.compile(r"\d{4}-\d\d-\d\d [\d:]{8} [A-Z]+ (aggregator|device) [\w-]+: ")


def is_clean(said: str) -> bool:
    """Every line is one that the process began itself, and printable."""
    return all(_LINE.match(one) and one.isprintable() for one in said.split("\n") if one)


def test_a_devices_reason_forges_nothing_in_an_aggregators_log(
    tmp_path: Path, mosquitto: Broker
) -> None:
    models.linear().save(tmp_path / "model.fedge")
    topics = Topics("default")
    flags = {"broker": mosquitto.url, "artifact": tmp_path / "model.fedge", "wait-for": 1,
             "state-dir": tmp_path / "state", "log-level": "debug"}  # fmt: skip
    aggregator = FedgeProcess("aggregate", tmp_path, flags, env=environment(tmp_path))
    with (
        stopping(aggregator),
        transport(mosquitto.url, "liar", filters=[topics.round("default")]) as liar,
    ):
        birth = DeviceState(presence=Presence.ONLINE, instance=bytes(8), software=FORGED)
        wait_until(lambda: "connected" in aggregator.said())
        liar.publish(topics.device_state("liar"), birth.to_bytes(), retain=True)
        manifest = RoundManifest.from_bytes(next_event(liar, Message).payload)
        skipped = Skipped(manifest.run, manifest.round, FORGED)
        state = DeviceState(
            presence=Presence.ONLINE, instance=bytes(8), software=FORGED, skipped=skipped
        )
        liar.publish(topics.device_state("liar"), state.to_bytes(), retain=True)
        wait_until(lambda: f"skips round {manifest.round}: {SHOWN}" in aggregator.said())
        assert is_clean(aggregator.said())


def test_a_refusals_detail_forges_nothing_in_a_devices_log(
    tmp_path: Path, mosquitto: Broker
) -> None:
    topics = Topics("default")
    data = write_examples(tmp_path / "data.npz")
    flags = {"broker": mosquitto.url, "id": "pi-3", "data": data, "state-dir": tmp_path / "state",
             "log-level": "debug"}  # fmt: skip
    device = FedgeProcess("device", tmp_path, flags, env=environment(tmp_path))
    with stopping(device), transport(mosquitto.url, "liar") as liar:
        wait_until(lambda: "connected" in device.said())
        refused = Refused(
            job="default", round=1, nonce=bytes(16), reason=Reason.LATE, detail=FORGED  # type: ignore[arg-type]
        )  # fmt: skip
        for payload in (refused.to_bytes(), FORGED.encode(), b"\xff" * 40):
            liar.publish(topics.device_in("pi-3"), payload)
            liar.publish(topics.round("default"), payload)
        liar.publish(topics.device_state("pi-3"), b"\xa1" + FORGED.encode())
        wait_until(lambda: device.said().count("\n") >= 4)
        liar.publish(topics.device_in("pi-3"), b"last")
        wait_until(lambda: liar.flush(1.0))
        assert is_clean(device.said())
