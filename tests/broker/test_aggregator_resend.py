"""A device sends again what nobody answered, over a real link as over the bus in memory."""

import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from fedge.device.state.outbox import Outbox, Result
from fedge.device.uplink.sender import Sender
from fedge.messages import RoundKind, Topics
from fedge.transport import Connected, Message
from fedge.transport.mqtt import MqttTransport
from fedge.types import DeviceId, JobId, RoundId
from tests.support.broker import Broker
from tests.support.round_manifests import rng

pytestmark = pytest.mark.broker


def test_an_unanswered_update_is_sent_again_over_a_real_link(
    any_broker: Broker, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        link, listener = (MqttTransport(any_broker.url, name) for name in ("pi-3", "listener"))
        for transport in (link, listener):
            transport.start()
            stack.callback(transport.close)
            assert isinstance(transport.receive(5), Connected)
        listener.subscribe(Topics("home").up_filter("digits"))
        assert listener.flush(5)
        outbox = Outbox(tmp_path / "outbox.sqlite3", fleet="home", device="pi-3")
        result = Result(
            job=JobId("digits"), run=b"run1", round=RoundId(4), nonce=b"12345678",
            kind=RoundKind.TRAINING, parts=1, schema=b"s" * 32, has_feedback=True,
            payload=b"payload",
        )  # fmt: skip
        outbox.put(result, sequence=1, model_sha256=b"m" * 32, residual=np.zeros(4, np.float32))
        sender = Sender(outbox, link, Topics("home"), DeviceId("pi-3"), rng())
        for _ in range(3):
            sender.hurry(time.monotonic())
            assert sender.send(time.monotonic())
            heard = listener.receive(5)
            assert isinstance(heard, Message)
            listener.done(heard)
            assert link.flush(5)  # the broker has said so as well
