"""What is encoded decodes to the same value, and twice to the same bytes."""

from collections.abc import Callable
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    Followed,
    Missing,
    Presence,
    Reason,
    Refused,
    RoundKind,
    RoundManifest,
    RoundState,
    UpdateChunk,
    decode_reply,
)
from fedge.messages.wire import decode_map, encode
from fedge.training.plan import Plan
from tests.support.message_examples import MANIFEST


class Encodes(Protocol):
    def to_bytes(self) -> bytes: ...


names = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
rounds = st.integers(0, 2**31 - 1)
runs = st.binary(min_size=4, max_size=4)
nonces = st.binary(min_size=8, max_size=8)
totals = st.integers(1, 65_536)
texts = st.text(st.characters(codec="utf-8"), max_size=64)
ranges = st.lists(
    st.tuples(st.integers(0, 65_535), st.integers(0, 65_535)).map(lambda pair: tuple(sorted(pair))),
    max_size=64,
).map(tuple)
blob_refs = st.builds(
    BlobRef, st.binary(min_size=32, max_size=32), st.integers(min_value=1, max_value=2**32)
)
plans = st.builds(
    Plan,
    local_steps=st.none() | st.integers(1, 1000),
    batch_size=st.integers(1, 1000),
    lr=st.floats(0.001, 10),
    clip_norm=st.none() | st.floats(0.001, 10),
    seed=st.integers(0, 2**63 - 1),
)

blob_chunks = totals.flatmap(
    lambda total: st.builds(
        BlobChunk, st.integers(0, total - 1), st.just(total), st.binary(max_size=99)
    )
)
update_chunks = totals.flatmap(
    lambda total: st.builds(
        UpdateChunk,
        run=runs,
        round=rounds,
        nonce=nonces,
        index=st.integers(0, total - 1),
        total=st.just(total),
        digest=st.binary(min_size=16, max_size=16),
        data=st.binary(max_size=99),
    )
)
replies = st.one_of(
    st.builds(Accepted, job=names, round=rounds, nonce=nonces),
    st.builds(Missing, job=names, round=rounds, nonce=nonces, ranges=ranges),
    st.builds(
        Refused,
        job=names,
        round=rounds,
        nonce=nonces,
        reason=st.sampled_from(Reason),
        detail=st.text(st.characters(codec="utf-8"), max_size=500),
    ),
)
manifests = st.builds(
    RoundManifest,
    job=names,
    run=runs,
    round=rounds,
    sequence=st.integers(0, 2**63 - 1),
    kind=st.sampled_from(RoundKind),
    state=st.sampled_from(RoundState),
    artifact=blob_refs,
    model=blob_refs,
    catch_up=st.lists(st.builds(CatchUp, st.integers(1, 4096), blob_refs), max_size=16).map(tuple),
    plan=plans,
    deadline_s=st.floats(min_value=0, max_value=366 * 86_400, exclude_min=True),
    parts=st.integers(1, 4096),
    wants_facts=st.booleans(),
    unchanged=st.sets(st.integers(1, 2**31 - 1), max_size=64).map(sorted).map(tuple),
)
device_states = st.builds(
    DeviceState,
    presence=st.sampled_from(Presence),
    instance=nonces,
    software=texts,
    claim=st.booleans(),
    job=st.none() | names,
    followed=st.none()
    | st.builds(
        Followed,
        run=runs,
        round=rounds,
        sequence=st.integers(0, 2**63 - 1),
        is_answered=st.booleans(),
    ),
)
aggregator_states = st.builds(
    AggregatorState,
    presence=st.sampled_from(Presence),
    instance=nonces,
    software=texts,
    job=names,
    run=runs,
    claim=st.booleans(),
)


@pytest.mark.parametrize(
    ("messages", "decode"),
    [
        (blob_chunks, BlobChunk.from_bytes),
        (st.builds(Broadcasts, st.lists(st.binary(max_size=99))), Broadcasts.from_bytes),
        (st.builds(BlobRequest, st.from_regex("[0-9a-f]{16}", fullmatch=True), ranges),
         BlobRequest.from_bytes),
        (update_chunks, UpdateChunk.from_bytes),
        (replies, decode_reply),
        (manifests, RoundManifest.from_bytes),
        (device_states, DeviceState.from_bytes),
        (aggregator_states, AggregatorState.from_bytes),
    ],
)  # fmt: skip
@given(data=st.data())
def test_round_trip(
    messages: st.SearchStrategy[Encodes], decode: Callable[[bytes], Encodes], data: st.DataObject
) -> None:
    message = data.draw(messages)
    payload = message.to_bytes()
    assert decode(payload) == message
    assert decode(payload).to_bytes() == payload


def fields() -> dict[str, object]:
    return decode_map(MANIFEST.to_bytes(), "manifest", fields={}, max_bytes=8192, max_values=256)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("deadline_s", 0),
        ("deadline_s", -1.0),
        ("deadline_s", float("nan")),
        ("deadline_s", float("inf")),
        ("deadline_s", True),
        ("deadline_s", "60"),
        ("job", "a/b"),
        ("run", b"run"),
        ("run", 1),
        ("round", -1),
        ("round", 2**31),
        ("round", 1.0),
        ("sequence", 2**63),
        ("parts", 0),
        ("parts", 4097),
        ("kind", "cooking"),
        ("state", 1),
        ("artifact", [b"short", 1]),
        ("model", [bytes(32), 0]),
        ("model", [bytes(32)]),
        ("catch_up", 1),
        ("catch_up", [[]]),
        ("catch_up", [[0, bytes(32), 1]]),
        ("catch_up", [[1, bytes(32)]]),
        ("catch_up", [[1, bytes(32), 1]] * 17),
        ("plan", {}),
        ("plan", []),
        ("unchanged", 1),
        ("unchanged", [0]),
        ("unchanged", [2, 1]),
        ("unchanged", [1, 1]),
        ("unchanged", [1.0]),
        ("unchanged", list(range(1, 66))),
    ],
)
def test_a_manifest_with_a_wrong_field_is_refused(name: str, value: object) -> None:
    with pytest.raises(PayloadError):
        RoundManifest.from_bytes(encode({**fields(), name: value}))


def test_a_manifest_with_a_field_missing_is_refused_by_its_name() -> None:
    for name in set(fields()) - {"v"}:
        rest = {key: value for key, value in fields().items() if key != name}
        with pytest.raises(PayloadError, match=name):
            RoundManifest.from_bytes(encode(rest))


def test_the_words_of_a_refusal_are_cut_to_what_a_reply_may_hold() -> None:
    long = Refused(
        job=MANIFEST.job,
        round=MANIFEST.round,
        nonce=bytes(8),
        reason=Reason.SCHEMA,
        detail="ö" * 9999,
    )
    assert decode_reply(long.to_bytes()) == Refused(
        job=MANIFEST.job,
        round=MANIFEST.round,
        nonce=bytes(8),
        reason=Reason.SCHEMA,
        detail="ö" * 500,
    )
