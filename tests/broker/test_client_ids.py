"""Client ids: who knows one can throw its client out, so nobody does, or it is bound to a user."""

import re
import time
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from fedge.messages import AggregatorState, DeviceState
from fedge.transport import Connected, Disconnected, Message
from tests.support import models
from tests.support.configured import Configured, configured
from tests.support.processes import (
    FedgeProcess,
    environment,
    stopping,
    wait_until,
    write_examples,
)
from tests.support.transports import events_within, next_event, transport

pytestmark = pytest.mark.broker

_ID = re.compile(r"(?<= as )\S+")


def intrude(broker: Configured, client_id: str, login: tuple[str, str] | None = None) -> None:
    """Somebody else connects under this id, and stays for a moment."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id)
    if login:
        client.username_pw_set(*login)
    client.connect("127.0.0.1", broker.port)
    end_s = time.monotonic() + 0.5
    while time.monotonic() < end_s:
        client.loop(0.05)
    client.disconnect()
    client.loop(0.05)


def ids(broker: Configured) -> list[str]:
    """The ids that clients connected under, by the broker's log."""
    return [found.split("(")[0] for found in _ID.findall(broker.said())]


def test_nothing_that_is_published_tells_a_client_id(tmp_path: Path) -> None:
    """14 connects under ids made of what the states say stopped a fleet."""
    models.linear().save(tmp_path / "model.fedge")
    with configured(tmp_path / "broker") as broker:
        env = environment(tmp_path)
        named = {"broker": broker.url(), "log-level": "debug"}
        data = write_examples(tmp_path / "data.npz")
        device = FedgeProcess(
            "device", tmp_path,
            {**named, "id": "pi-3", "data": data, "state-dir": tmp_path / "device"}, env=env,
        )  # fmt: skip
        aggregator = FedgeProcess(
            "aggregate", tmp_path,
            {**named, "artifact": tmp_path / "model.fedge", "wait-for": 2,
             "state-dir": tmp_path / "aggregator"}, env=env,
        )  # fmt: skip
        with stopping(device, aggregator), transport(broker.url(), "spy", filters=["#"]) as spy:
            wait_until(lambda: "1 of 2 are online" in aggregator.said())
            events = events_within(spy, 1.0)
            seen = [(one.topic, one.payload) for one in events if isinstance(one, Message)]
            used = [one for one in ids(broker) if one not in {"spy", "auto"}]
            instances = {DeviceState.from_bytes(p).instance for t, p in seen if "/dev/" in t}
            instances |= {AggregatorState.from_bytes(p).instance for t, p in seen if "/srv/" in t}
            assert len(instances) == 2
            for instance in instances:
                for name in ("pi-3", "aggregator"):
                    intrude(broker, f"fedge-{name}-{instance.hex()}")
            assert "waiting for the broker" not in device.said()
            assert "no broker" not in aggregator.said()
    ours = [one for one in used if one.startswith("fedge")]
    assert len(set(ours)) == 2, used
    for one in ours:
        assert re.fullmatch(r"fedge[0-9a-z]{18}", one)
        assert not any(one.encode() in topic.encode() + payload for topic, payload in seen)
        assert one not in device.said() + aggregator.said()


def test_every_transport_draws_an_id_of_its_own(tmp_path: Path) -> None:
    with configured(tmp_path / "broker") as broker:
        with transport(broker.url(), None) as one, transport(broker.url(), None) as two:
            next_event(one, Connected)
            next_event(two, Connected)
        assert len({name for name in ids(broker) if name.startswith("fedge")}) == 2


@pytest.mark.parametrize("is_bound", [False, True])
def test_mosquitto_binds_ids_to_users_as_the_document_says(
    tmp_path: Path, *, is_bound: bool
) -> None:
    """`use_username_as_clientid`: another user who knows the id throws nobody out any more."""
    lines = f"use_username_as_clientid {str(is_bound).lower()}"
    users = {"kitchen": "one", "thief": "two"}
    with (
        configured(tmp_path / "broker", lines=lines, users=users) as broker,
        transport(broker.url("kitchen:one"), "known") as kitchen,
    ):
        next_event(kitchen, Connected)
        taken = "kitchen" if is_bound else "known"
        assert taken in ids(broker)
        intrude(broker, taken, ("thief", "two"))
        lost = [e for e in events_within(kitchen, 1.0) if isinstance(e, Disconnected)]
        assert bool(lost) is not is_bound
