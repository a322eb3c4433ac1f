"""What a broker refuses, or swallows: said once for each topic, with what to change."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedge.transport import Connected, Undelivered
from tests.support import models
from tests.support.configured import Configured, configured
from tests.support.processes import (
    FedgeProcess,
    environment,
    stopping,
    wait_until,
    write_examples,
)
from tests.support.tools import missing, need_tool
from tests.support.transports import events_within, next_event, transport

pytestmark = [pytest.mark.broker, pytest.mark.slow]

USERS = {"boss": "b", "pi-3": "p"}
# The rights of docs/brokers.md, a line each, so that a test can leave one out.
RIGHTS = {
    "state": "topic readwrite fedge/v1/default/dev/pi-3/state",
    "in": "topic read fedge/v1/default/dev/pi-3/in",
    "get": "topic write fedge/v1/default/dev/pi-3/get",
    "round": "topic read fedge/v1/default/job/+/round",
    "up": "topic write fedge/v1/default/job/+/up/+/pi-3",
    "blob": "topic read fedge/v1/default/blob/+/+",
    "srv": "topic read fedge/v1/default/srv/+/state",
}
UP = "fedge/v1/default/job/default/up/0/pi-3"
VERSIONS = pytest.mark.parametrize("version", ["5", "3.1.1"])


def rights(without: str) -> str:
    own = [line for name, line in RIGHTS.items() if name != without]
    return "\n".join(["user boss", "topic readwrite fedge/#", "user pi-3", *own, ""])


@contextmanager
def fleet(
    folder: Path, version: str, broker: Configured, n_in: int = 2
) -> Iterator[tuple[FedgeProcess, FedgeProcess]]:
    """An aggregator and a device at a broker that knows both."""
    models.linear(n_in=n_in).save(folder / "model.fedge")
    data = write_examples(folder / "data.npz", n_in=n_in)
    env = environment(folder)
    aggregator = FedgeProcess(
        "aggregate", folder,
        {"broker": broker.url("boss"), "password-file": folder / "boss", "mqtt": version,
         "artifact": folder / "model.fedge", "state-dir": folder / "aggregator",
         "deadline": 100}, env=env,
    )  # fmt: skip
    device = FedgeProcess(
        "device", folder,
        {"broker": broker.url("pi-3"), "password-file": folder / "pi-3", "mqtt": version,
         "id": "pi-3", "data": data, "state-dir": folder / "device"}, env=env,
    )  # fmt: skip
    with stopping(aggregator, device):
        yield aggregator, device


@pytest.fixture(autouse=True)
def passwords(tmp_path: Path) -> None:
    for name, password in USERS.items():
        (tmp_path / name).write_text(password)


@VERSIONS
@pytest.mark.parametrize(
    ("without", "told", "topics"),
    [
        ("up", "round 1: the update was sent 3 times and nobody has answered", [UP]),
        ("in", "round 1: the update was sent 3 times and nobody has answered",
         ["dev/pi-3/in"]),
        ("get", "asked 3 times for", ["dev/pi-3/get"]),
        ("blob", "asked 3 times for", ["fedge/v1/default/blob/+/+"]),
        ("state", "does not come back, after 3 tries", ["dev/pi-3/state"]),
    ],
)  # fmt: skip
def test_a_device_whose_messages_vanish_says_so_after_a_few_tries(
    tmp_path: Path, version: str, without: str, told: str, topics: list[str]
) -> None:
    """mosquitto's ACL file lets everybody subscribe, and says nothing on 3.1.1."""
    with (
        configured(tmp_path / "broker", users=USERS, rights=rights(without)) as broker,
        fleet(tmp_path, version, broker) as (_, device),
    ):
        wait_until(lambda: told in device.said(), 40)
        line = next(one for one in device.said().splitlines() if told in one)
        assert "WARNING" in line
        assert all(topic in line for topic in topics)
        time.sleep(6.0)  # another try
        assert device.said().count(told) == 1
        refusals = [one for one in device.said().splitlines() if ": refused:" in one]
        if version == "5" and without in {"up", "get", "state"}:  # the broker says that it refused
            (refusal,) = refusals
            assert "refused: not authorized; allow this user to write there" in refusal
            assert topics[0] in refusal
        else:
            assert refusals == []


@VERSIONS
def test_nothing_is_said_where_all_rights_are_given(tmp_path: Path, version: str) -> None:
    with (
        configured(tmp_path / "broker", users=USERS, rights=rights("")) as broker,
        fleet(tmp_path, version, broker) as (_, device),
    ):
        wait_until(lambda: "round 3: the aggregator accepted" in device.said(), 30)
        time.sleep(16.0)
        assert "WARNING" not in device.said(), device.said()


@VERSIONS
def test_a_limit_on_messages_is_named_and_breaks_no_link(tmp_path: Path, version: str) -> None:
    """With MQTT 5, paho called mosquitto's answer malformed, hung up, and did so for ever."""
    with (
        configured(tmp_path / "broker", users=USERS, lines="message_size_limit 4000") as broker,
        fleet(tmp_path, version, broker, n_in=3000) as (aggregator, device),
    ):
        wait_until(lambda: "asked 3 times for" in device.said(), 40)
        assert "does the broker take" in device.said()
        said = [one for one in aggregator.said().splitlines() if "not delivered to" in one]
        if version == "5":
            (line,) = said
            assert "refused: packet too large; allow the broker messages of 65536 bytes" in line
            assert "message_size_limit" in line
        else:
            assert said == []
        assert "no broker" not in aggregator.said()
        assert aggregator.said().count("connected to the broker") == 1


def test_a_message_beyond_the_limit_is_refused_and_the_next_one_goes(tmp_path: Path) -> None:
    with (
        configured(tmp_path / "broker", lines="message_size_limit 1000") as broker,
        transport(broker.url(), None, filters=["a"]) as one,
    ):
        next_event(one, Connected)
        one.publish("a", bytes(1001))
        one.publish("a", bytes(1000))
        refused, arrived = events_within(one, 1.0)
        assert isinstance(refused, Undelivered)
        assert refused.is_refusal
        assert refused.reason.startswith("refused: packet too large; allow the broker messages")
        assert getattr(arrived, "payload", None) == bytes(1000)
        assert one.flush(1.0)


def test_an_aggregator_that_may_not_write_says_each_topic_once(tmp_path: Path) -> None:
    given = "user boss\ntopic read fedge/#\nuser pi-3\ntopic readwrite fedge/#\n"
    with (
        configured(tmp_path / "broker", users=USERS, rights=given) as broker,
        fleet(tmp_path, "5", broker) as (aggregator, _),
    ):
        wait_until(lambda: "job/default/round: refused" in aggregator.said())
        time.sleep(3.0)
        said = [one for one in aggregator.said().splitlines() if "not delivered to" in one]
    topics = sorted(one.split("not delivered to ")[1].split(":")[0] for one in said)
    assert len(topics) == len(set(topics))
    assert {"fedge/v1/default/job/default/round", "fedge/v1/default/srv/aggregator/state"} <= {
        *topics
    }


def dynamic_security(folder: Path) -> str:
    """Lines for mosquitto's other way of giving rights, which refuses a SUBSCRIBE aloud."""
    found = sorted(Path("/usr/lib").rglob("mosquitto_dynamic_security.so"))
    if not found:
        missing("mosquitto_dynamic_security.so is not installed")
    folder.mkdir(parents=True)
    rules = folder / "rules.json"
    command = [need_tool("mosquitto_ctrl"), "dynsec", "init", str(rules), "pi-3", "p"]
    subprocess.run(command, check=True, capture_output=True)
    made = json.loads(rules.read_text())
    made["defaultACLAccess"] = {
        "publishClientSend": True, "publishClientReceive": True,
        "subscribe": False, "unsubscribe": True,
    }  # fmt: skip
    made["clients"][0]["roles"] = []  # the first client may do everything
    rules.write_text(json.dumps(made))
    return f"plugin {found[0]}\nplugin_opt_config_file {rules}"


@VERSIONS
def test_a_refused_subscription_is_said_once_with_the_right_that_it_needs(
    tmp_path: Path, version: str
) -> None:
    lines = dynamic_security(tmp_path / "rules")
    flags = {"password-file": tmp_path / "pi-3", "mqtt": version, "id": "pi-3",
             "data": write_examples(tmp_path / "data.npz"),
             "state-dir": tmp_path / "device"}  # fmt: skip
    with configured(tmp_path / "first", lines=lines) as broker:
        flags["broker"] = broker.url("pi-3")
        device = FedgeProcess("device", tmp_path, flags, env=environment(tmp_path))
        with stopping(device):
            wait_until(lambda: device.said().count("not subscribed") == 4)
            wait_until(lambda: "does not come back, after 3 tries" in device.said(), 30)
        refused = [one for one in device.said().splitlines() if "not subscribed" in one]
    for name in ("state", "in", "round", "srv"):
        topic = RIGHTS[name].split()[-1].replace("job/+", "job/default")
        (line,) = [one for one in refused if f"not delivered to {topic}: " in one]
        assert "allow this user to read there; docs/brokers.md" in line
