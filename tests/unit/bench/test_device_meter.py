"""What the meter says of a process whose work is known."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedge.bench.device import meter as metering
from fedge.bench.device import wire
from fedge.bench.device.meter import Meter
from fedge.bench.device.tally import Tally
from fedge.errors import ConfigError, FedgeError
from tests.support.tools import missing

_MB = 1_000_000


@contextmanager
def connection(port: int = 0) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's end of a TCP connection on loopback, and the server's."""
    with (
        socket.create_server(("127.0.0.1", port)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as other,
    ):
        yield client, other


def carry(sender: socket.socket, receiver: socket.socket, n_bytes: int) -> None:
    sender.sendall(bytes(n_bytes))
    while n_bytes:
        n_bytes -= len(receiver.recv(n_bytes))


def test_bytes_of_a_connection_are_counted_each_way() -> None:
    with connection() as (client, server):
        port = client.getpeername()[1]
        before = wire.read(port)
        carry(client, server, 1000)
        carry(server, client, 70)
        after = wire.read(port)
    assert after.sent_bytes - before.sent_bytes == 1000
    assert after.received_bytes - before.received_bytes == 70
    assert after.ports == before.ports == {client_port(after)}


def client_port(one: wire.Wire) -> int:
    (port,) = one.ports
    return port


def test_connections_to_other_ports_are_not_counted() -> None:
    with connection() as (client, _server), connection() as (other, far):
        port = client.getpeername()[1]
        before = wire.read(port)
        carry(other, far, 1000)
        carry(far, other, 1000)
        assert wire.read(port) == before


def test_to_count_leaves_the_connection_open() -> None:
    with connection() as (client, server):
        wire.read(client.getpeername()[1])
        carry(client, server, 10)


def test_no_connection_is_said_and_not_counted_as_no_bytes() -> None:
    with connection() as (client, _):
        port = client.getpeername()[1]
    with pytest.raises(ConfigError, match=str(port)):
        wire.read(port)


def rounds(meter: Meter, n_rounds: int, client: socket.socket, server: socket.socket) -> None:
    for _ in range(n_rounds):
        meter.enter("training")
        meter.enter("upload")
        carry(client, server, 500)
        carry(server, client, 3000)


def test_bytes_of_a_round_are_what_passes_between_two_trainings() -> None:
    with connection() as (client, server):
        carry(server, client, 100_000)  # once, before the first round
        meter = Meter(client.getpeername()[1])
        rounds(meter, 4, client, server)
        figures = meter.figures()
    assert figures.values["sent_bytes"] == 500
    assert figures.values["received_bytes"] == 3000


def test_a_lost_connection_leaves_no_count_but_a_reason() -> None:
    with connection() as (client, server):
        port = client.getpeername()[1]
        meter = Meter(port)
        rounds(meter, 1, client, server)
    with connection(port) as (client, server):
        rounds(meter, 1, client, server)
    figures = meter.figures()
    assert figures.values["sent_bytes"] is None
    assert "lost" in figures.notes["sent_bytes"]


@pytest.fixture
def tally(monkeypatch: pytest.MonkeyPatch) -> Tally:
    monkeypatch.setattr(socket, "socket", socket.socket)  # put back what a tally replaces
    return Tally()


def test_where_the_system_does_not_count_bytes_the_program_does(tally: Tally) -> None:
    with connection() as (client, server), connection() as (other, far):
        port = client.getpeername()[1]
        carry(client, server, 1000)
        carry(server, client, 70)
        carry(other, far, 5)
        client.send(b"more")
        counted = tally.read(port)
        assert counted == wire.Wire(frozenset({client.getsockname()[1]}), 1004, 70)
        assert server.recv(4) == b"more"
    with pytest.raises(ConfigError, match=str(port)):
        tally.read(port)


# A process of its own: the memory of one that has run tests before grows and shrinks by itself.
_ROUNDS = """
import json
import numpy as np
from fedge.bench.device.meter import Meter

def hold(n_bytes):  # more than the allocator keeps for itself
    np.ones(n_bytes, np.uint8)

meter = Meter(1)
hold(200_000_000)
for trained, sent in ((100_000_000, 10_000_000), (40_000_000, 60_000_000)):
    meter.enter("training")
    hold(trained)
    meter.enter("upload")
    hold(sent)
print(json.dumps(meter.figures().values))
"""


def test_each_part_of_a_round_has_a_peak_of_its_own() -> None:
    if not metering._FORGET.exists():
        missing("/proc/self/clear_refs, to forget a peak,")
    said = subprocess.run(
        [sys.executable, "-c", _ROUNDS], capture_output=True, text=True, check=True
    ).stdout
    values = json.loads(said)
    training, upload, whole = (
        values[name] for name in ("peak_training_bytes", "peak_upload_bytes", "peak_bytes")
    )
    assert 30 * _MB < training - upload < 50 * _MB  # 100 - 60
    assert 90 * _MB < whole - training < 110 * _MB  # 200 - 100


def test_where_a_peak_cannot_be_forgotten_only_that_of_the_whole_run_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(metering, "_FORGET", tmp_path / "missing" / "clear_refs")
    meter = Meter(1)
    for _ in range(2):
        meter.enter("training")
        meter.enter("upload")
    figures = meter.figures()
    assert figures.values["peak_training_bytes"] is None
    assert figures.values["peak_upload_bytes"] is None
    assert (figures.values["peak_bytes"] or 0) > 10 * _MB
    assert "clear_refs" in figures.notes["peak_training_bytes"]


def spend(wanted_s: float) -> None:
    end_s = time.process_time() + wanted_s
    while time.process_time() < end_s:
        pass


def test_the_first_round_and_what_came_before_cost_a_round_nothing() -> None:
    meter = Meter(1)
    spend(0.1)
    for seconds in (0.1, 0.02, 0.04):
        meter.enter("training")
        spend(seconds)
        meter.enter("upload")
    spend(0.1)  # the answers to the last round
    cpu_s = meter.figures().values["cpu_s"]
    assert cpu_s is not None
    assert 0.03 <= cpu_s < 0.04


def test_time_of_other_threads_is_counted_too() -> None:
    meter = Meter(1)
    meter.enter("training")
    meter.enter("upload")
    meter.enter("training")
    thread = threading.Thread(target=spend, args=(0.05,))
    thread.start()
    thread.join()
    meter.enter("upload")
    assert (meter.figures().values["cpu_s"] or 0) >= 0.05


def test_the_meter_takes_its_own_time_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "read", lambda port: spend(0.05))
    meter = Meter(1)
    for _ in range(3):
        meter.enter("training")
        meter.enter("upload")
    assert (meter.figures().values["cpu_s"] or 0) < 0.02


def test_instructions_are_those_between_two_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counter:  # the processor's, which virtual machines lack
        def __init__(self) -> None:
            self.reads = 0

        def read(self) -> int:
            self.reads += 1
            return 1000 * self.reads

    monkeypatch.setattr(metering, "Counter", Counter)
    meter = Meter(1)
    for _ in range(3):
        meter.enter("training")
        meter.enter("upload")
    assert meter.figures().values["instructions"] == 2000  # of four reads a round, two are its own


def test_one_round_is_too_few() -> None:
    meter = Meter(1)
    meter.enter("training")
    meter.enter("upload")
    with pytest.raises(FedgeError, match="2 rounds"):
        meter.figures()
