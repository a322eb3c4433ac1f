"""Every message once, with its bytes put together by hand from RFC 8949."""

import hashlib
import struct
from dataclasses import replace

import cbor2
import numpy as np
import pytest

from fedge.errors import PayloadError
from fedge.messages import (
    Accepted,
    AggregatorState,
    BlobChunk,
    BlobRef,
    BlobRequest,
    Broadcasts,
    CatchUp,
    DeviceState,
    Facts,
    Followed,
    Missing,
    Presence,
    Reason,
    Refused,
    RoundKind,
    RoundManifest,
    RoundState,
    Skipped,
    UpdateChunk,
    decode_reply,
    split_update,
    wire,
)
from fedge.training.plan import Plan
from fedge.types import JobId, RoundId, Update

NONCE = bytes(range(8))


def test_a_blob_chunk_is_an_array_of_version_index_total_and_data() -> None:
    payload = bytes.fromhex("84 01 00 02 42 61 62")
    assert BlobChunk(0, 2, b"ab").to_bytes() == payload
    assert BlobChunk.from_bytes(payload) == BlobChunk(0, 2, b"ab")


def test_a_blob_request_lists_first_and_last_chunk_of_each_range() -> None:
    payload = b"\x83\x01\x70" + b"0123456789abcdef" + bytes.fromhex("82 82 00 03 82 07 07")
    request = BlobRequest("0123456789abcdef", ((0, 3), (7, 7)))
    assert request.to_bytes() == payload
    assert BlobRequest.from_bytes(payload) == request


def test_broadcasts_are_a_list_of_payloads() -> None:
    payload = bytes.fromhex("82 01 82 42 61 62 41 63")
    assert Broadcasts([b"ab", b"c"]).to_bytes() == payload
    assert Broadcasts.from_bytes(payload) == Broadcasts([b"ab", b"c"])


def test_an_update_chunk_repeats_nonce_and_digest_of_the_whole() -> None:
    digest = hashlib.sha256(b"\xff").digest()[:16]
    payload = b"\x88\x01\x44run1\x03\x48" + NONCE + b"\x00\x01\x50" + digest + b"\x41\xff"
    (chunk,) = split_update(b"\xff", b"run1", RoundId(3), NONCE)
    assert chunk.to_bytes() == payload
    assert UpdateChunk.from_bytes(payload) == chunk


# 1.5 fits into a half, so that is its canonical form; 0.1 needs all four bytes.
@pytest.mark.parametrize(
    ("n_steps", "loss", "facts"),
    [
        (5, 1.5, b"\x82\x05\xf9\x3e\x00"),
        (300, struct.unpack(">f", b"\x3d\xcc\xcc\xcd")[0], b"\x82\x19\x01\x2c\xfa\x3d\xcc\xcc\xcd"),
    ],
)
def test_an_update_chunk_may_say_how_it_was_trained(
    n_steps: int, loss: float, facts: bytes
) -> None:
    digest = hashlib.sha256(b"\xff").digest()[:16]
    start = b"\x89\x01\x44run1\x03\x48" + NONCE + b"\x00\x01\x50" + digest
    said = Facts(n_steps=n_steps, loss=loss)
    (chunk,) = split_update(b"\xff", b"run1", RoundId(3), NONCE, facts=said)
    assert chunk.to_bytes() == start + facts + b"\x41\xff"
    assert UpdateChunk.from_bytes(chunk.to_bytes()) == chunk


@pytest.mark.parametrize(
    "facts",
    [
        b"\x80",  # nothing
        b"\x82\x00\xf9\x3e\x00",  # no steps
        b"\x82\x20\xf9\x3e\x00",  # -1
        b"\x82\x1b" + bytes([0, 0, 1, 0, 0, 0, 0, 1]) + b"\xf9\x3e\x00",  # 2^40 + 1
        b"\x82\x05\xf9\x7c\x00",  # infinity
        b"\x82\x05\xf9\x7e\x00",  # NaN
        b"\x82\x05\xfa\x3f\xc0\x00\x00",  # 1.5, longer than it need be
        b"\x82\x05\xfb\x3f\xb9\x99\x99\x99\x99\x99\x9a",  # 0.1 in float64
        b"\x82\x05\x01",  # a loss that is no float
        b"\x83\x05\xf9\x3e\x00\x01",
        b"\xf6",
    ],
)
def test_facts_out_of_range_are_refused(facts: bytes) -> None:
    digest = hashlib.sha256(b"\xff").digest()[:16]
    start = b"\x89\x01\x44run1\x03\x48" + NONCE + b"\x00\x01\x50" + digest
    with pytest.raises(PayloadError):
        UpdateChunk.from_bytes(start + facts + b"\x41\xff")


@pytest.mark.parametrize(
    ("loss", "kept"), [(1e300, 3.4028234663852886e38), (-1e300, -3.4028234663852886e38)]
)
def test_a_loss_beyond_float32_becomes_the_largest_one(loss: float, kept: float) -> None:
    update = Update(delta=np.zeros(1, np.float32), n_examples=1, n_steps=2, loss=loss)
    assert Facts.of(update) == Facts(n_steps=2, loss=kept)


def test_an_acceptance_names_the_update() -> None:
    payload = b"\x86\x01\x68accepted\x61j\x02\x48" + NONCE + b"\xf6"
    reply = Accepted(job=JobId("j"), round=RoundId(2), nonce=NONCE)
    assert reply.to_bytes() == payload
    assert decode_reply(payload) == reply


def test_a_refusal_has_a_word_and_a_sentence() -> None:
    payload = b"\x86\x01\x67refused\x61j\x02\x48" + NONCE + b"\x82\x64late\x61x"
    reply = Refused(job=JobId("j"), round=RoundId(2), nonce=NONCE, reason=Reason.LATE, detail="x")
    assert reply.to_bytes() == payload
    assert decode_reply(payload) == reply


def test_missing_chunks_are_ranges() -> None:
    payload = b"\x86\x01\x67missing\x61j\x02\x48" + NONCE + b"\x81\x82\x01\x18\x20"
    reply = Missing(job=JobId("j"), round=RoundId(2), nonce=NONCE, ranges=((1, 32),))
    assert reply.to_bytes() == payload
    assert decode_reply(payload) == reply


def test_a_birth_is_a_map_with_its_shortest_keys_first() -> None:
    payload = (
        b"\xa5\x61v\x01\x65claim\xf4\x68instance\x48" + NONCE
        + b"\x68presence\x66online\x68software\x63f/1"
    )  # fmt: skip
    state = DeviceState(presence=Presence.ONLINE, instance=NONCE, software="f/1")
    assert state.to_bytes() == payload
    assert DeviceState.from_bytes(payload) == state


def test_a_device_says_which_round_it_skips_and_why() -> None:
    payload = (
        b"\xa6\x61v\x01\x65claim\xf4\x67skipped\x83\x44run1\x07\x62no\x68instance\x48" + NONCE
        + b"\x68presence\x66online\x68software\x63f/1"
    )  # fmt: skip
    skipped = Skipped(b"run1", RoundId(7), "no")
    state = DeviceState(presence=Presence.ONLINE, instance=NONCE, software="f/1", skipped=skipped)
    assert state.to_bytes() == payload
    assert DeviceState.from_bytes(payload) == state


def test_a_device_says_what_it_trains_with() -> None:
    payload = (
        b"\xa6\x61v\x01\x65claim\xf4\x66engine\x69reference\x68instance\x48" + NONCE
        + b"\x68presence\x66online\x68software\x63f/1"
    )  # fmt: skip
    state = DeviceState(
        presence=Presence.ONLINE, instance=NONCE, software="f/1", engine="reference"
    )
    assert state.to_bytes() == payload
    assert DeviceState.from_bytes(payload) == state


def test_a_device_says_its_job_and_how_far_it_has_followed_it() -> None:
    payload = (
        b"\xa7\x61v\x01\x63job\x66digits\x65claim\xf4"
        b"\x68followed\x84\x44run1\x07\x18\x28\xf5\x68instance\x48" + NONCE
        + b"\x68presence\x66online\x68software\x63f/1"
    )  # fmt: skip
    state = DeviceState(
        presence=Presence.ONLINE, instance=NONCE, software="f/1", job=JobId("digits"),
        followed=Followed(b"run1", RoundId(7), 40, is_answered=True),
    )  # fmt: skip
    assert state.to_bytes() == payload
    assert DeviceState.from_bytes(payload) == state


@pytest.mark.parametrize(
    "followed",
    [
        0, b"run1", {}, [], [b"run1", 7, 40], [b"run1", 7, 40, True, 0], [b"run", 7, 40, True],
        ["run1", 7, 40, True], [b"run1", -1, 40, True], [b"run1", 2**31, 40, True],
        [b"run1", True, 40, True], [b"run1", 7, -1, True], [b"run1", 7, 2**63, True],
        [b"run1", 7, 40, 1], [b"run1", 7.0, 40, True], [b"run1", 7, None, True],
    ],
)  # fmt: skip
def test_what_a_device_cannot_have_followed_is_refused(followed: object) -> None:
    fields = {
        "v": 1, "presence": "online", "instance": NONCE, "software": "f/1", "claim": False,
        "followed": followed,
    }  # fmt: skip
    with pytest.raises(PayloadError):
        DeviceState.from_bytes(cbor2.dumps(fields, canonical=True))


@pytest.mark.parametrize("job", ["", "a/b", "x" * 65, 7, b"digits", []])
def test_a_job_that_cannot_be_one_is_refused(job: object) -> None:
    fields = {
        "v": 1, "presence": "online", "instance": NONCE, "software": "f/1", "claim": False,
        "job": job,
    }  # fmt: skip
    with pytest.raises(PayloadError):
        DeviceState.from_bytes(cbor2.dumps(fields, canonical=True))


def test_an_aggregators_will_says_offline() -> None:
    payload = (
        b"\xa7\x61v\x01\x63job\x61j\x63run\x44run1\x65claim\xf4\x68instance\x48"
        + NONCE
        + b"\x68presence\x67offline\x68software\x63f/1"
    )
    state = AggregatorState(
        presence=Presence.OFFLINE,
        instance=NONCE,
        software="f/1",
        job=JobId("j"),
        run=b"run1",
    )
    assert state.to_bytes() == payload
    assert AggregatorState.from_bytes(payload) == state


def test_a_manifest_is_a_map_and_unknown_fields_in_it_are_ignored() -> None:
    artifact, model, plan = bytes([1] * 32), bytes([2] * 32), Plan()
    manifest = RoundManifest(
        job=JobId("j"),
        run=b"run1",
        round=RoundId(1),
        sequence=24,
        kind=RoundKind.TRAINING,
        state=RoundState.OPEN,
        artifact=BlobRef(artifact, 255),
        model=BlobRef(model, 256),
        catch_up=(CatchUp(8, BlobRef(b"8" * 32, 1)),),
        plan=plan,
        deadline_s=60.0,
        parts=1,
    )
    head = b"\x61v\x01\x63job\x61j\x63run\x44run1\x64kind\x68training"
    # The plan's own bytes are a test of the plan.
    middle = b"\x64plan" + wire.encode(plan.to_wire()) + b"\x65model\x82\x58\x20" + model
    tail = b"\x19\x01\x00\x65parts\x01\x65round\x01\x65state\x64open\x68artifact\x82\x58\x20"
    end = (
        b"\x18\xff\x68catch_up\x81\x83\x08\x58\x20"
        + b"8" * 32
        + b"\x01\x68sequence\x18\x18\x6adeadline_s\xf9\x53\x80"
    )
    payload = b"\xad" + head + middle + tail + artifact + end
    assert manifest.to_bytes() == payload
    assert RoundManifest.from_bytes(payload) == manifest
    assert RoundManifest.from_bytes(b"\xae" + payload[1:] + b"\x6alater_name\x00") == manifest
    with_facts = b"\xae" + payload[1:] + b"\x6bwants_facts\xf5"
    assert replace(manifest, wants_facts=True).to_bytes() == with_facts
    assert RoundManifest.from_bytes(with_facts) == replace(manifest, wants_facts=True)


@pytest.mark.parametrize("reason", list(Reason))
def test_only_a_damaged_update_is_worth_sending_again(reason: Reason) -> None:
    assert reason.is_final == (reason.value != "damaged")
