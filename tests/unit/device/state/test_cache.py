"""Blobs on disk."""

import os
from pathlib import Path

import pytest

from fedge.device.state.cache import BlobCache
from fedge.errors import StorageError
from tests.support.round_manifests import ref


def test_a_blob_can_be_read_back_even_after_a_restart(tmp_path: Path) -> None:
    BlobCache(tmp_path / "models").put(ref(b"weights"), b"weights")
    assert BlobCache(tmp_path / "models").get(ref(b"weights")) == b"weights"
    assert BlobCache(tmp_path / "models").get(ref(b"other")) is None


@pytest.mark.parametrize("damage", [b"weightz", b"weight", b"weights and more", b""])
def test_a_damaged_file_counts_as_absent_and_is_removed(tmp_path: Path, damage: bytes) -> None:
    cache = BlobCache(tmp_path)
    cache.put(ref(b"weights"), b"weights")
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage)
    assert cache.get(ref(b"weights")) is None
    assert list(tmp_path.iterdir()) == []


def test_only_the_two_newest_are_kept(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path)
    for age, blob in enumerate([b"one", b"two", b"three"]):
        cache.put(ref(blob), blob)
        os.utime(tmp_path / ref(blob).sha256.hex(), ns=(age, age))
    assert cache.get(ref(b"one")) is None
    assert cache.get(ref(b"two")) == b"two"
    assert cache.get(ref(b"three")) == b"three"


def test_the_remains_of_a_write_cut_short_by_a_power_cut_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".abc.tmp123").write_bytes(b"half")
    BlobCache(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot write"):
        BlobCache(tmp_path / "file" / "models")


def test_the_blob_written_last_is_the_newest_even_after_the_clock_went_back(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path)
    for blob in (b"one", b"two"):
        cache.put(ref(blob), blob)
        os.utime(tmp_path / ref(blob).sha256.hex(), ns=(2**62, 2**62))  # the year 2116
    for blob in (b"three", b"four"):
        cache.put(ref(blob), blob)
    assert cache.get(ref(b"two")) is None
    assert cache.get(ref(b"three")) == b"three"
    assert cache.get(ref(b"four")) == b"four"
