"""The stored zip."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.artifact import container
from fedge.errors import ArtifactError

NAMES = ("first.json", "second.bin")


def test_any_zip_program_reads_it() -> None:
    archive = container.pack([("first.json", b"{}"), ("second.bin", bytes(range(256)))])
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        assert file.testzip() is None
        assert file.namelist() == list(NAMES)
        assert file.read("second.bin") == bytes(range(256))
        assert {info.date_time for info in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.compress_type for info in file.infolist()} == {zipfile.ZIP_STORED}


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_unpack_returns_what_was_packed(first: bytes, second: bytes) -> None:
    archive = container.pack(list(zip(NAMES, (first, second), strict=True)))
    assert container.unpack(archive, NAMES) == [first, second]


def test_every_flipped_bit_is_refused() -> None:
    archive = container.pack([("first.json", b"{}"), ("second.bin", b"abcd")])
    for position in range(8 * len(archive)):
        damaged = bytearray(archive)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(ArtifactError):
            container.unpack(bytes(damaged), NAMES)


def test_every_shorter_or_longer_file_is_refused() -> None:
    archive = container.pack([("first.json", b"{}"), ("second.bin", b"abcd")])
    for size in range(len(archive)):
        with pytest.raises(ArtifactError):
            container.unpack(archive[:size], NAMES)
    with pytest.raises(ArtifactError):
        container.unpack(archive + b"\0", NAMES)


def test_other_members_are_refused() -> None:
    archive = container.pack([("first.json", b"{}"), ("other.bin", b"abcd")])
    with pytest.raises(ArtifactError, match=r"second\.bin"):
        container.unpack(archive, NAMES)


def test_a_compressed_member_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("first.json", b"{}")
        file.writestr("second.bin", b"a" * 100)
    with pytest.raises(ArtifactError):
        container.unpack(buffer.getvalue(), NAMES)


@given(st.binary(max_size=200))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError):
        container.unpack(data, NAMES)
