"""CPU and memory of the brokers that fedge can start, side by side in one run, over MQTT 3.1.1.

Run: python benchmarks/brokers.py    (amqtt is measured too if it is installed)
Every broker gets the same load: 500 connections that each subscribe to a topic; 20 000 messages of
2 kB to one subscriber; a model of 100 MB in chunks of 61 440 bytes to four subscribers, 16 chunks
in flight. CPU seconds and resident memory are the broker's own, and no message may be lost.
"""

import importlib.metadata
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from fedge.transport.broker import start_broker
from fedge.transport.programs import find_mosquitto

N_CONNECTIONS, N_SMALL, N_CHUNKS = 500, 20_000, 1628
_AMQTT = """
listeners: {{default: {{type: tcp, bind: "127.0.0.1:{port}"}}}}
plugins: {{amqtt.plugins.authentication.AnonymousAuthPlugin: {{allow_anonymous: true}}}}
"""
_ROW = "| {:<18} | {:>9} | {:>9} | {:>13} | {:>9} | {:>9} | {:>13} | {:>9} | {:>9} |"


@contextmanager
def broker(kind: str, folder: Path) -> Iterator[tuple[int, int, str]]:
    """Its port, process id and version."""
    if kind != "amqtt":
        with start_broker(kind=kind, folder=folder, version="3.1.1") as found:  # type: ignore[arg-type]
            yield int(found.url.rpartition(":")[2]), found.process.pid, found.version
        return
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (folder / "amqtt.yaml").write_text(_AMQTT.format(port=port))
    script = "from amqtt.scripts.broker_script import main; main()"
    words = [sys.executable, "-c", script, "-c", str(folder / "amqtt.yaml")]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:  # noqa: S603
        time.sleep(5.0)
        yield port, process.pid, importlib.metadata.version("amqtt")
        process.kill()


class Reader:
    """Counts the messages that match a filter."""

    def __init__(self, port: int, name: str, topic_filter: str) -> None:
        self.n = 0
        self.client = client(port, name)
        self.client.on_message = self._count
        is_there = threading.Event()
        self.client.on_subscribe = lambda *_: is_there.set()
        self.client.subscribe(topic_filter, 1)
        assert is_there.wait(10.0)

    def _count(self, *_: Any) -> None:
        self.n += 1


def client(port: int, name: str) -> Client:
    made = Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv311)
    made.connect("127.0.0.1", port, 600)
    made.loop_start()
    return made


def connect_by_hand(port: int, name: bytes) -> socket.socket:
    """A connection subscribed to its own topic, without a thread."""
    made = socket.create_connection(("127.0.0.1", port), timeout=30.0)
    made.sendall(b"\x10\x16\x00\x04MQTT\x04\x02\x02\x58\x00\x0a" + name)
    assert made.recv(4, socket.MSG_WAITALL)[3] == 0
    made.sendall(b"\x82\x13\x00\x01\x00\x0edev/" + name + b"\x01")
    assert made.recv(5, socket.MSG_WAITALL)[0] == 0x90
    return made


def send(port: int, readers: list[Reader], n: int, size: int, window: int) -> float:
    """Seconds until every reader has the last of n messages."""
    writer, began = client(port, "writer"), time.perf_counter()
    for number in range(n):
        info = writer.publish(f"a/{number % 100}", bytes(size), 1)
        if number % window == window - 1:
            info.wait_for_publish(30.0)
    end = time.monotonic() + 120.0
    while min(reader.n for reader in readers) < n and time.monotonic() < end:
        time.sleep(0.01)
    taken = time.perf_counter() - began
    writer.disconnect()
    assert [reader.n for reader in readers] == [n] * len(readers)
    return taken


def used(pid: int) -> tuple[float, float]:
    """A process's CPU seconds so far and its resident MB now."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks, pages = int(words[11]) + int(words[12]), int(words[21])
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(kind: str, folder: Path) -> str:
    """One row of the table."""
    with broker(kind, folder) as (port, pid, version):
        begin = used(pid)
        held = [connect_by_hand(port, b"device-%03d" % n) for n in range(N_CONNECTIONS)]
        connected = used(pid)
        one = Reader(port, "one", "a/+")
        small = send(port, [one], N_SMALL, 2000, 100)
        one.client.disconnect()
        after_small = used(pid)
        four = [Reader(port, f"reader-{n}", "a/+") for n in range(4)]
        large = send(port, four, N_CHUNKS, 61_440, 16)
        end = used(pid)
        for sock in held:
            sock.close()
    return _ROW.format(
        f"{kind} {version}",
        f"{begin[1]:.0f} MB",
        f"{connected[1]:.0f} MB",
        f"{connected[0] - begin[0]:.2f} s",
        f"{small:.1f} s",
        f"{after_small[0] - connected[0]:.2f} s",
        f"{large:.1f} s",
        f"{end[0] - after_small[0]:.2f} s",
        f"{end[1]:.0f} MB",
    )


if __name__ == "__main__":
    kinds = ["iotcore", *["mosquitto"] * bool(find_mosquitto())]
    kinds += ["amqtt"] * (find_spec("amqtt") is not None)
    heads = [
        "broker",
        "at start",
        "500 conn.",
        "their CPU",
        "2 kB",
        "CPU",
        "100 MB to 4",
        "CPU",
        "at end",
    ]
    print(_ROW.format(*heads))  # noqa: T201 - printing a table is its purpose
    for kind in kinds:
        with tempfile.TemporaryDirectory() as made:
            print(measure(kind, Path(made)), flush=True)  # noqa: T201
