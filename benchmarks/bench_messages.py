"""What a refused message costs, compared with an honest chunk of 61 kB.

make bench ARGS="benchmarks/bench_messages.py"
"""

from collections.abc import Callable
from contextlib import suppress

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fedge.errors import PayloadError
from fedge.messages import (
    CHUNK_BYTES,
    AggregatorState,
    BlobChunk,
    BlobRequest,
    DeviceState,
    RoundManifest,
    UpdateChunk,
    decode_reply,
)
from fedge.types import RoundId

DECODERS: dict[str, Callable[[bytes], object]] = {
    "update chunk": UpdateChunk.from_bytes,
    "blob chunk": BlobChunk.from_bytes,
    "blob request": BlobRequest.from_bytes,
    "reply": decode_reply,
    "round manifest": RoundManifest.from_bytes,
    "device state": DeviceState.from_bytes,
    "aggregator state": AggregatorState.from_bytes,
}
N = 61_000
# CBOR heads chosen so that a reader gets as far as possible before it refuses.
FLOODS = {
    "lists": b"\x99" + N.to_bytes(2) + b"\x80" * N,
    "a chunk of lists": b"\x88\x01\x44run1\x07\x48"
    + bytes(8)
    + b"\x00\x01\x50"
    + bytes(16)
    + b"\x99"
    + N.to_bytes(2)
    + b"\x80" * N,
    "an unknown field of lists": b"\xa2\x61v\x01\x61z\x98\xfa" + b"\x80" * 250,
    "ranges": b"\x86\x01\x60\x60\x00\x40\x98\xc0" + b"\x80" * 192,
    "a text": b"\x86\x01\x60\x60\x00\x40\x79" + (4000).to_bytes(2) + b"\xff" * 4000,
    "text that is no UTF-8": b"\xa1\x61v\x79" + (900).to_bytes(2) + b"\xff" * 900,
}


def bench_honest_chunk(benchmark: BenchmarkFixture) -> None:
    chunk = UpdateChunk(
        run=b"run1",
        round=RoundId(7),
        nonce=bytes(8),
        index=0,
        total=1,
        digest=bytes(16),
        data=bytes(CHUNK_BYTES),
    )
    assert benchmark(UpdateChunk.from_bytes, chunk.to_bytes()) == chunk


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("kind", DECODERS)
def bench_refused_message(benchmark: BenchmarkFixture, kind: str, flood: str) -> None:
    decode, payload = DECODERS[kind], FLOODS[flood]

    def refuse() -> bool:
        with suppress(PayloadError):
            decode(payload)
            return False
        return True

    assert benchmark(refuse)
