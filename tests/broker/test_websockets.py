"""MQTT in WebSockets, plain and in TLS, through both brokers."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fedge.transport import Connected, Disconnected
from tests.support import models
from tests.support.broker import Broker
from tests.support.configured import configured
from tests.support.processes import FedgeProcess, environment, stopping, write_examples
from tests.support.transports import events_within, next_event, receive_payloads, transport
from tests.support.websockets import WebSocketBroker, mosquitto_lines, websocket_broker

# paho leaves the socket of a failed handshake to its destructor, which closes it and warns.
pytestmark = [
    pytest.mark.broker,
    pytest.mark.filterwarnings("ignore:Exception ignored in. <(ssl.SSLS|socket.s)ocket"),
    pytest.mark.filterwarnings("ignore:unclosed <(ssl.SSLS|socket.s)ocket:ResourceWarning"),
]

WAYS = [("mosquitto", False), ("mosquitto", True), ("iotcore", False), ("iotcore", True)]
NAMES = ["mosquitto-ws", "mosquitto-wss", "iotcore-ws", "iotcore-wss"]


@pytest.fixture(params=WAYS, ids=NAMES)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WebSocketBroker]:
    kind, is_tls = request.param
    with websocket_broker(kind, tmp_path / "broker", is_tls=is_tls) as running:
        yield running


def test_megabytes_go_both_ways(broker: WebSocketBroker) -> None:
    n, limit_s = (20, 60.0) if broker.is_slow else (60, 10.0)
    payloads = [number.to_bytes(2, "big") * 30_720 for number in range(n)]
    options: dict[str, Any] = {"ca_file": broker.ca_file, "keepalive_s": 5}
    with (
        transport(f"{broker.url}/mqtt", None, **options) as sender,
        transport(broker.url, None, filters=["a"], **options) as receiver,
    ):
        assert next_event(receiver, Connected).protocol == broker.protocol
        assert next_event(sender, Connected).protocol == broker.protocol
        began = time.monotonic()
        for payload in payloads:
            sender.publish("a", payload)
        assert receive_payloads(receiver, n) == payloads
        assert sender.flush(5.0)
        assert (
            time.monotonic() - began < limit_s
        )  # nothing waits for a tick to be read or decrypted
        assert [one for one in events_within(sender, 6.0) if isinstance(one, Disconnected)] == []


@pytest.mark.slow
def test_a_job_with_a_model_of_megabytes_runs_through_a_websocket(
    tmp_path: Path, broker: WebSocketBroker
) -> None:
    n_in, rounds = (250_000, 1) if broker.is_slow else (600_000, 2)  # 1 MB or 2.4 MB
    models.linear(n_in=n_in).save(tmp_path / "model.fedge")
    data = write_examples(tmp_path / "data.npz", n=4, n_in=n_in)
    common = {"broker": broker.url, "log-level": "debug"}
    if broker.ca_file:
        common["ca-file"] = str(broker.ca_file)
    asked = {"artifact": tmp_path / "model.fedge", "state-dir": tmp_path / "aggregator",
             "rounds": rounds, "local-steps": 1, "lr": 1e-9, "codec": "none",
             "downlink-codec": "none", "evaluate-every": 0,
             "json": tmp_path / "result.json"}  # fmt: skip
    own = {"id": "pi-3", "data": data, "state-dir": tmp_path / "device"}
    env = environment(tmp_path)
    aggregator = FedgeProcess("aggregate", tmp_path, {**common, **asked}, env=env)
    device = FedgeProcess("device", tmp_path, {**common, **own}, env=env)
    with stopping(aggregator, device):
        assert aggregator.wait(200) == 0, aggregator.said() + device.said()
        device.process.terminate()
        assert device.wait() == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert [report["devices_accepted"] for report in result["round_reports"]] == [1] * rounds
    sent = sum(report["uplink_bytes"] for report in result["round_reports"])
    assert sent > 4 * n_in * rounds
    assert f"connected to {broker.url}/mqtt, {broker.protocol}" in device.said()


def test_a_goodbye_through_a_websocket_keeps_the_will_back(broker: WebSocketBroker) -> None:
    options: dict[str, Any] = {"ca_file": broker.ca_file}
    with transport(broker.url, None, filters=["state"], **options) as watcher:
        next_event(watcher, Connected)
        with transport(broker.url, None, will=("state", b"dead"), **options) as one:
            next_event(one, Connected)
            one.publish("state", b"bye")
            assert one.flush(3.0)
        assert receive_payloads(watcher, 1) == [b"bye"]
        assert events_within(watcher, 1.0) == []


def test_a_broker_that_comes_back_is_found_again_through_a_websocket(tmp_path: Path) -> None:
    lines = mosquitto_lines()
    with configured(tmp_path / "first", lines=lines) as first:
        url = first.url(scheme="ws")
        one_transport = transport(url, None)
        one = one_transport.__enter__()
        next_event(one, Connected)
    assert f"the connection to {url}/mqtt is lost" in next_event(one, Disconnected).reason
    with configured(tmp_path / "second", lines=lines, port=first.port):
        next_event(one, Connected)
        one_transport.__exit__(None, None, None)


class _NotFound(http.server.BaseHTTPRequestHandler):
    """A web server without a broker."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


def test_a_web_server_that_is_no_broker_is_named_with_the_path() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _NotFound) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"ws://127.0.0.1:{server.server_port}/else"
        with transport(url, None) as one:
            reason = next_event(one, Disconnected).reason
        server.shutdown()
    assert reason.startswith(f"no WebSocket at {url}; its path may be wrong (")


def test_a_broker_that_speaks_plain_mqtt_there_is_named(mosquitto: Broker) -> None:
    with transport(mosquitto.url.replace("mqtt:", "ws:"), None) as one:
        reason = next_event(one, Disconnected, 20).reason
    assert reason.startswith("no WebSocket at ws://127.0.0.1:")
