"""What devices may send at an aggregator, and what becomes of it."""

import json
import sqlite3
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedge import codecs
from fedge.aggregator.reception.reassembly import (
    ASK_DEVICE_S,
    CHUNK_COST,
    MAX_ASKED,
    MAX_PARTIALS,
    PARTIAL_COST,
    PER_DEVICE,
    Reassembly,
)
from fedge.aggregator.reception.validation import RefusedError
from fedge.codecs import Stamp
from fedge.messages import Reason, Topics, UpdateChunk, split_update
from fedge.types import DeviceId, JobId, RoundId
from tests.support.aggregator_by_hand import Bench
from tests.support.scripted import ScriptedDevice, scripted_nonce, scripted_payload

EVE = DeviceId("eve")


def a_bench(tmp_path: Path, **options: int) -> tuple[Bench, ScriptedDevice]:
    """A round is open, and eve sends only what the test makes her send."""
    bench = Bench(tmp_path, wait_for=2, quorum=2, rounds=1, **options)  # type: ignore[arg-type] # no artifact
    _, eve = bench.add("ann", "eve")
    eve.send = lambda: None  # type: ignore[method-assign] # only what follows
    bench.settle()
    return bench, eve


def refusals(bench: Bench) -> dict[str, int]:
    bench.wait(2)
    with sqlite3.connect(bench.folder / "state" / "state.sqlite3") as db:
        return dict(db.execute("SELECT reason, sum(n) FROM refusal GROUP BY reason").fetchall())


def test_a_flipped_bit_is_refused_logged_and_counted_and_the_device_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench, eve = a_bench(tmp_path)
    payload = scripted_payload(bench.artifact, "eve", 1)
    (chunk,) = split_update(payload, bench.aggregator._on.run, RoundId(1), bytes(8))
    data = bytearray(chunk.to_bytes())
    data[-3] ^= 4
    eve._transport.publish(Topics("default").up("default", "eve", 1), bytes(data))
    bench.settle()
    (refusal,) = eve.refusals
    assert (refusal.reason, refusal.nonce) == (Reason.DAMAGED, bytes(8))
    assert "refused update of device eve for round 1 (damaged)" in caplog.text
    assert refusals(bench) == {"damaged": 1}
    eve.send_payload(payload, 1, bytes(8))  # the same update, whole this time
    bench.settle()
    assert eve.accepted == [1]
    events = [json.loads(x) for x in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["refused"] for event in events if event["event"] == "round"] == [1]


def _payloads(bench: Bench) -> dict[str, tuple[bytes, Reason]]:
    artifact = bench.artifact
    n, schema = artifact.n_trainable, artifact.schema[:4]
    delta, dice = np.ones(n, np.float32), np.random.default_rng(0)
    dense = codecs.get("none")

    def made(values: np.ndarray, **stamp: object) -> bytes:
        full = {"schema": schema, "round": 1, **stamp}
        return dense.encode(values, None, dice, stamp=Stamp(**full))  # type: ignore[arg-type]

    good = made(delta)
    return {
        "another schema": (made(delta, schema=b"none"), Reason.SCHEMA),
        "another round inside": (made(delta, round=2), Reason.PAYLOAD),
        "another size": (made(np.ones(n + 1, np.float32)), Reason.PAYLOAD),
        "too many examples": (made(delta, n_examples=10_000_001), Reason.PAYLOAD),
        "not finite": (_with_nan(good), Reason.PAYLOAD),
        "nothing": (b"", Reason.PAYLOAD),
        "truncated": (good[:-1], Reason.PAYLOAD),
        "text": (b"hello" * 5, Reason.PAYLOAD),
        "too large": (bytes(50_000), Reason.TOO_LARGE),
    }


def _with_nan(payload: bytes) -> bytes:
    """A dense float32 payload whose last value is NaN and whose checksum is right."""
    import zlib  # noqa: PLC0415 - used here only

    body = payload[:-8] + np.array([np.nan], "<f4").tobytes()
    return body + zlib.crc32(body).to_bytes(4, "little")


def test_payloads_that_cannot_be_counted_are_refused_with_their_reason(tmp_path: Path) -> None:
    bench, eve = a_bench(tmp_path)
    cases = _payloads(bench)
    for number, (payload, _) in enumerate(cases.values()):
        eve.send_payload(payload, 1, number.to_bytes(8, "big"))
        bench.settle()
    told = {name: refusal.reason for name, refusal in zip(cases, eve.refusals, strict=True)}
    assert told == {name: reason for name, (_, reason) in cases.items()}
    assert all(refusal.detail for refusal in eve.refusals)
    assert eve.accepted == []
    assert sum(refusals(bench).values()) == len(cases)


def test_a_device_may_correct_itself_after_a_refusal(tmp_path: Path) -> None:
    bench, eve = a_bench(tmp_path)
    eve.send_payload(b"rubbish", 1, b"11111111")
    eve.send_payload(scripted_payload(bench.artifact, "eve", 1), 1, b"22222222")
    bench.settle()
    assert eve.accepted == [1]


def test_the_bound_on_examples_can_be_set(tmp_path: Path) -> None:
    bench, eve = a_bench(tmp_path, max_examples=5)
    payload = scripted_payload(bench.artifact, "eve", 1, n_examples=6)
    eve.send_payload(payload, 1, bytes(8))
    bench.settle()
    assert eve.refusals[0].detail == "examples: expected at most 5, found 6"


@settings(deadline=None, max_examples=30)  # each example is a whole aggregator
@given(st.data())
def test_no_bytes_on_any_topic_stop_the_aggregator(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    bench, eve = a_bench(tmp_path_factory.mktemp("hostile"))
    topics = Topics("default")
    whole = b"".join(
        chunk.to_bytes()
        for chunk in split_update(
            scripted_payload(bench.artifact, "eve", 1),
            bench.aggregator._on.run,
            RoundId(1),
            bytes(8),
        )
    )
    for _ in range(5):
        topic = data.draw(
            st.sampled_from(
                [
                    topics.up("default", "eve", 1),
                    topics.device_get("eve"),
                    topics.device_state("eve"),
                    topics.up("default", "bad name!", 1),
                    topics.up("default", "state", 1),
                ]
            )
        )
        flipped = bytearray(whole)
        flipped[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
        payload = data.draw(st.one_of(st.binary(max_size=80), st.just(bytes(flipped))))
        eve._transport.publish(topic, payload)
    bench.settle()
    eve.be_born()
    eve.send_payload(scripted_payload(bench.artifact, "eve", 1), 1, scripted_nonce("eve", 1))
    bench.settle()
    assert 1 in eve.accepted
    bench.aggregator.close()


def a_chunk(number: int, *, total: int = 3, size: int = 1000, index: int = 0) -> UpdateChunk:
    nonce = number.to_bytes(8, "big")
    return UpdateChunk(
        run=b"run1",
        round=RoundId(1),
        nonce=nonce,
        index=index,
        total=total,
        digest=2 * nonce,
        data=bytes(size),
    )


def test_one_device_cannot_fill_the_memory() -> None:
    reassembly = Reassembly(max_bytes=4000)
    for number in range(1000):
        reassembly.add(EVE, a_chunk(number), float(number))
    assert reassembly.size_bytes == PER_DEVICE * (1000 + CHUNK_COST + PARTIAL_COST)


def test_many_names_cannot_fill_the_memory() -> None:
    reassembly = Reassembly(max_bytes=4000)
    for number in range(MAX_PARTIALS + 100):
        reassembly.add(DeviceId(f"d{number}"), a_chunk(number), 0.0)
    assert reassembly.size_bytes == MAX_PARTIALS * (1000 + CHUNK_COST + PARTIAL_COST)


def test_empty_chunks_count_as_what_python_needs_for_them() -> None:
    """A thousand updates of 65 chunks without data: nothing but objects."""
    reassembly = Reassembly(max_bytes=40_000)
    chunks = [
        a_chunk(number, total=66, size=0, index=index)
        for number in range(1000)
        for index in range(65)
    ]
    tracemalloc.start()
    for chunk in chunks:
        # As they come: every chunk brings its own objects.
        given = replace(
            chunk, data=bytes(bytearray(chunk.data)), nonce=bytes(bytearray(chunk.nonce))
        )
        reassembly.add(DeviceId(f"d{chunk.nonce.hex()}"), given, 0.0)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reassembly.size_bytes == 1000 * (PARTIAL_COST + 65 * CHUNK_COST)
    assert used < reassembly.size_bytes


def test_a_device_that_repeats_its_last_chunk_is_not_asked_each_time() -> None:
    reassembly, job = Reassembly(max_bytes=5000), JobId("default")
    n_asked = 0
    for step in range(200):  # ten seconds, twenty chunks a second, of two updates in turn
        now_s = step / 20
        reassembly.add(EVE, a_chunk(step % 2, index=2), now_s)
        n_asked += len(list(reassembly.missing(job, now_s)))
    assert 10 / ASK_DEVICE_S - 1 <= n_asked <= 10 / ASK_DEVICE_S + 1


def test_all_devices_together_are_asked_so_often_a_second_and_none_is_forgotten() -> None:
    reassembly, job = Reassembly(max_bytes=5000), JobId("default")
    for number in range(3 * MAX_ASKED):
        reassembly.add(DeviceId(f"d{number}"), a_chunk(number, index=2), 0.0)
    asked = [list(reassembly.missing(job, now_s)) for now_s in (0.0, 0.5, 0.99, 1.0, 1.5, 2.0)]
    assert [len(found) for found in asked[:4]] == [MAX_ASKED, 0, 0, MAX_ASKED]
    devices = {device for found in asked for device, _ in found}
    assert len(devices) == 3 * MAX_ASKED


def test_an_update_that_grows_too_large_is_refused_and_forgotten() -> None:
    reassembly = Reassembly(max_bytes=1500)
    reassembly.add(EVE, a_chunk(1), 0.0)
    with pytest.raises(RefusedError) as caught:
        reassembly.add(EVE, a_chunk(1, index=1), 0.0)
    assert caught.value.reason is Reason.TOO_LARGE
    assert reassembly.size_bytes == 0


def test_missing_chunks_are_asked_for_at_once_after_the_last_and_again_later() -> None:
    reassembly = Reassembly(max_bytes=5000)
    reassembly.add(EVE, a_chunk(1, index=0), 10.0)
    assert list(reassembly.missing("default", 10.5)) == []  # type: ignore[arg-type] # a JobId
    reassembly.add(EVE, a_chunk(1, index=2), 11.0)
    ((device, missing),) = reassembly.missing("default", 11.0)  # type: ignore[arg-type] # a JobId
    assert (device, missing.ranges) == (EVE, ((1, 1),))
    assert list(reassembly.missing("default", 12.0)) == []  # type: ignore[arg-type] # a JobId
    assert len(list(reassembly.missing("default", 13.5))) == 1  # type: ignore[arg-type] # a JobId
    assert list(reassembly.missing("default", 200.0)) == []  # type: ignore[arg-type] # a JobId
    assert reassembly.size_bytes == 0


def test_a_message_on_a_topic_that_is_none_of_ours_is_said_and_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker that matches filters by rules of its own may hand on anything."""
    bench, _ = a_bench(tmp_path)
    for topic in ("fedge/v1/default/dev/eve/in", "fedge/v1/default/job/default/up/x/eve", "state"):
        with bench.bus.changed:
            bench.transport.push_message(topic, b"\xa0", is_retained=False)
    bench.settle()
    assert "ignored message on fedge/v1/default/dev/eve/in" in caplog.text
    assert "job/default/up/x/eve: topic: expected one of fleet default, found" in caplog.text
    assert "ignored message on state: topic: expected one of fleet default" in caplog.text
    assert refusals(bench) == {}
