"""The vectors of an algorithm on their way down."""

from dataclasses import replace

import cbor2
import numpy as np
import pytest

from fedge import codecs
from fedge.errors import PayloadError
from fedge.messages import BlobRef, RoundManifest, ServerRef, ServerVectors
from tests.support.message_examples import MANIFEST


def payload(*values: float) -> bytes:
    vector = np.array(values, np.float32)
    return codecs.get("none").encode(vector, None, np.random.default_rng(0))


def test_by_hand_bytes() -> None:
    # array(2), 1, array(1) of array(2): text(1) "c", bytes(2)
    data = bytes.fromhex("82 01 81 82 61 63 42 0102")
    assert ServerVectors({"c": b"\x01\x02"}).to_bytes() == data
    assert ServerVectors.from_bytes(data) == ServerVectors({"c": b"\x01\x02"})


def test_they_decode_to_the_values_of_their_payloads() -> None:
    found = ServerVectors({"control": payload(0.5, -1)}).decode(2)
    np.testing.assert_array_equal(found["control"], np.array([0.5, -1], np.float32))


@pytest.mark.parametrize("bad", [payload(1.0, 2.0, 3.0), payload(1.0, 2.0)[:-1], b""])
def test_payloads_that_are_no_vectors_of_the_model_are_refused(bad: bytes) -> None:
    with pytest.raises(PayloadError):
        ServerVectors({"control": bad}).decode(2)


@pytest.mark.parametrize(
    "pairs", [[["c"]], [["", b""]], [["c" * 65, b""]], [[1, b""]], [["c", 1]], [["c", b""]] * 9]
)
def test_lists_of_anything_else_are_refused(pairs: list[list[object]]) -> None:
    with pytest.raises(PayloadError):
        ServerVectors.from_bytes(cbor2.dumps([1, pairs], canonical=True))


@pytest.mark.parametrize("server", [None, ServerRef(0), ServerRef(7, BlobRef(bytes(32), 900))])
def test_a_manifest_names_them(server: ServerRef | None) -> None:
    manifest = replace(MANIFEST, server=server)
    assert RoundManifest.from_bytes(manifest.to_bytes()) == manifest


def test_a_manifest_without_them_has_the_bytes_that_older_releases_know() -> None:
    assert b"server" not in MANIFEST.to_bytes()


@pytest.mark.parametrize("server", [[], [-1], ["0"], [0, bytes(32)], [0, bytes(31), 9], [0] * 4])
def test_other_values_for_them_are_refused(server: list[object]) -> None:
    fields = {**cbor2.loads(MANIFEST.to_bytes()), "server": server}
    with pytest.raises(PayloadError):
        RoundManifest.from_bytes(cbor2.dumps(fields, canonical=True))
