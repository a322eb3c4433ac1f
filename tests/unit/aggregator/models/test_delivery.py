"""Models and artifacts on their way down."""

import hashlib
from pathlib import Path

import pytest

from fedge.aggregator.models.delivery import GATHER_S, Delivery
from fedge.errors import TransportError
from fedge.messages import CHUNK_BYTES, Assembly, BlobChunk, BlobRef, BlobRequest, Topics
from fedge.types import DeviceId
from tests.support.aggregator_by_hand import Bench
from tests.support.models import softmax

ANN, BOB = DeviceId("ann"), DeviceId("bob")
DATA = bytes(range(250)) * 1000  # five chunks


@pytest.fixture
def ref(tmp_path: Path) -> BlobRef:
    (tmp_path / "blob").write_bytes(DATA)
    return BlobRef(hashlib.sha256(DATA).digest(), len(DATA))


@pytest.fixture
def delivery(ref: BlobRef, tmp_path: Path) -> Delivery:
    delivery = Delivery()
    delivery.offer((ref, tmp_path / "blob"))
    return delivery


def indices(delivery: Delivery, now_s: float, most: int = 99) -> list[int]:
    return [chunk.index for _, chunk in delivery.take(now_s, most)]


def test_what_many_ask_for_is_published_once(delivery: Delivery, ref: BlobRef) -> None:
    delivery.ask(ANN, BlobRequest(ref.key, ((0, 2),)), 10.0)
    delivery.ask(BOB, BlobRequest(ref.key, ((1, 3),)), 10.01)
    assert indices(delivery, 10.0) == []
    assert indices(delivery, 10.0 + GATHER_S) == [0, 1, 2, 3]
    assert indices(delivery, 11.0) == []
    assert delivery.due_in_s(11.0) is None


def test_no_more_is_given_out_than_there_is_room_for(delivery: Delivery, ref: BlobRef) -> None:
    delivery.ask(ANN, BlobRequest(ref.key, ((0, 4),)), 10.0)
    assert indices(delivery, 11.0, most=2) == [0, 1]
    assert indices(delivery, 11.0, most=0) == []
    assert indices(delivery, 11.0, most=5) == [2, 3, 4]


def test_the_chunks_are_those_of_the_file(delivery: Delivery, ref: BlobRef) -> None:
    delivery.ask(ANN, BlobRequest(ref.key, ((0, 65_535),)), 10.0)
    found = Assembly(ref.sha256, 5, max_bytes=len(DATA))
    for key, chunk in delivery.take(11.0, 99):
        assert (key, chunk.total) == (ref.key, 5)
        found.add(chunk.index, chunk.data)
    assert found.whole() == DATA


def test_a_blob_that_is_not_offered_is_not_given(delivery: Delivery, ref: BlobRef) -> None:
    assert not delivery.ask(ANN, BlobRequest("0" * 16, ((0, 4),)), 10.0)
    delivery.ask(ANN, BlobRequest(ref.key, ((0, 4),)), 10.0)
    delivery.offer()
    assert indices(delivery, 11.0) == []


def test_a_device_cannot_ask_for_ever_and_does_not_hinder_others(
    delivery: Delivery, ref: BlobRef
) -> None:
    everything = BlobRequest(ref.key, ((0, 4),))
    granted = [delivery.ask(ANN, everything, 10.0 + i / 100) for i in range(100)]
    assert granted == [True] * 4 + [False] * 96
    assert delivery.ask(BOB, everything, 11.0)
    assert delivery.ask(ANN, everything, 21.0)


def test_devices_get_artifact_and_model_over_the_bus(tmp_path: Path) -> None:
    artifact = softmax(n_in=9000)  # the model has two chunks
    bench = Bench(tmp_path, artifact=artifact, wait_for=1, quorum=2)
    (ann,) = bench.add("ann")
    bench.settle()
    assert ann.manifest is not None
    topics, listener = Topics("default"), bench.bus.transport("listener")
    listener.start()
    for ref, want in (
        (ann.manifest.artifact, artifact.to_bytes()),
        (ann.manifest.model, artifact.parameters.astype("<f4").tobytes()),
    ):
        listener.subscribe(topics.blob(ref.key))
        request = BlobRequest(ref.key, ((0, 65_535),))
        listener.publish(topics.device_get("listener"), request.to_bytes())
        bench.settle()
        bench.wait(1)
        total = -(-len(want) // CHUNK_BYTES)
        found = Assembly(ref.sha256, total, max_bytes=ref.size_bytes)
        while (event := listener.receive(0)) is not None:
            if getattr(event, "topic", "").startswith(topics.blob(ref.key, "")):
                chunk = BlobChunk.from_bytes(event.payload)  # type: ignore[union-attr] # a Message
                found.add(chunk.index, chunk.data)
        assert found.whole() == want


def test_a_broker_with_too_small_messages_is_named(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.bus.max_payload_bytes = 10_000
    with pytest.raises(TransportError, match="the broker takes messages of at most 10000 bytes"):
        bench.aggregator.step()
