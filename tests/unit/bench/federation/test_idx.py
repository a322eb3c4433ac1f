"""Files of the MNIST database: read by their description, refused when they are not that."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from fedge.bench.federation.idx import MAX_BYTES, read_idx
from fedge.errors import ConfigError, DataError


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content, mtime=0))
    return path


def image_file(path: Path) -> Path:
    """Two images of 2 x 3 pixels, as the database's page describes them."""
    return write(path, struct.pack(">IIII", 0x803, 2, 2, 3) + bytes(range(12)))


def test_a_file_is_what_the_format_says(tmp_path: Path) -> None:
    images = read_idx(image_file(tmp_path / "x.gz"), n_axes=3)
    assert images.tolist() == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]
    labels = write(tmp_path / "y.gz", struct.pack(">II", 0x801, 3) + bytes([5, 0, 4]))
    assert read_idx(labels, n_axes=1).tolist() == [5, 0, 4]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        struct.pack(">II", 0x801, 3),  # no values
        struct.pack(">II", 0x801, 3) + bytes(2),  # one too few
        struct.pack(">II", 0x801, 3) + bytes(4),  # one too many
        struct.pack(">II", 0x803, 3) + bytes(3),  # other axes
        struct.pack(">II", 0xD01, 3) + bytes(12),  # floats
        struct.pack(">II", 0x801, 0),  # nothing
        struct.pack(">II", 0x801, MAX_BYTES + 1) + bytes(99),
        struct.pack(">I", 0x801),
    ],
)
def test_a_file_that_is_not_that_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"y\.gz"):
        read_idx(write(tmp_path / "y.gz", content), n_axes=1)


def test_a_cut_a_spoilt_and_a_plain_file_are_refused(tmp_path: Path) -> None:
    whole = image_file(tmp_path / "x.gz").read_bytes()
    for content in (whole[:-9], whole[:30], b"no gzip", whole[:20] + b"\xff\xff" + whole[22:]):
        (tmp_path / "x.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"x\.gz"):
            read_idx(tmp_path / "x.gz", n_axes=3)


def test_values_that_claim_more_than_a_file_holds_are_not_made_room_for(tmp_path: Path) -> None:
    huge = write(tmp_path / "x.gz", struct.pack(">IIII", 0x803, *[2**32 - 1] * 3))
    with pytest.raises(DataError, match="values"):
        read_idx(huge, n_axes=3)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*x\.gz: No such file"):
        read_idx(tmp_path / "x.gz", n_axes=3)


def test_axes_are_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
    file = write(tmp_path / "x.gz", struct.pack(">IIII", 0x803, 4, 3, 2) + pixels.tobytes())
    np.testing.assert_array_equal(read_idx(file, n_axes=3), pixels)
