"""Data files."""

import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.data import Dataset, read_npz, write_npz
from fedge.errors import ConfigError, DataError
from tests.support.tools import data_file

X = np.arange(6, dtype=np.float32).reshape(3, 2)
Y = np.array([0, 1, 2])


def saved(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def npy(array: np.ndarray, **header: Any) -> bytes:
    """An .npy file whose header may be false."""
    file = io.BytesIO()
    honest = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(file, honest | header)
    return file.getvalue() + array.tobytes()


def zipped(folder: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(folder / "data.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return folder / "data.npz"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_all_four_arrays_are_read_and_others_ignored(tmp_path: Path, save: Any) -> None:
    client, is_test = np.array(["b", "a", "b"]), np.array([True, False, False])
    labels = np.array(["zero", "one"])
    objects = np.array([None, {}], dtype=object)
    save(tmp_path / "d.npz", x=X, y=Y, client=client, is_test=is_test, labels=labels, o=objects)
    data = read_npz(tmp_path / "d.npz")
    assert list(data.inputs) == ["x"]
    np.testing.assert_array_equal(data.inputs["x"], X)
    np.testing.assert_array_equal(data.targets, Y)
    np.testing.assert_array_equal(data.client, client)
    np.testing.assert_array_equal(data.is_test, is_test)


def test_column_major_and_byte_swapped_arrays_are_read(tmp_path: Path) -> None:
    data = read_npz(saved(tmp_path, x=np.asfortranarray(X), y=Y.astype(">i4")))
    np.testing.assert_array_equal(data.inputs["x"], X)
    np.testing.assert_array_equal(data.targets, Y)


def test_without_x_every_numeric_array_with_a_row_per_target_is_an_input(tmp_path: Path) -> None:
    words, constants = np.array(["u", "v", "w"]), np.zeros(2)
    path = saved(tmp_path, image=X, age=Y * 2, y=Y, words=words, constants=constants, client=Y)
    assert sorted(read_npz(path).inputs) == ["age", "image"]


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    written = Dataset({"a": X, "b": Y}, Y, client=np.array([1, 1, 2]), is_test=Y > 1)
    write_npz(tmp_path / "d.npz", written)
    data = read_npz(tmp_path / "d.npz")
    assert sorted(data.inputs) == ["a", "b"]
    assert data.client is not None
    assert data.client.tolist() == [1, 1, 2]
    assert data.test().targets.tolist() == [2]


def test_selections_keep_rows_together() -> None:
    data = Dataset({"x": X}, Y, client=np.array([7, 8, 7]), is_test=np.array([False, False, True]))
    mine = data.of_client(7)
    assert mine.targets.tolist() == [0, 2]
    assert mine.train().inputs["x"].tolist() == [[0, 1]]
    assert mine.test().inputs["x"].tolist() == [[4, 5]]
    assert data.of_client("8").targets.tolist() == [1]
    assert data.select(np.array([True, False, False])).n_examples == 1


def test_without_is_test_everything_is_for_training() -> None:
    data = Dataset({"x": X}, Y)
    assert (data.train().n_examples, data.test().n_examples) == (3, 0)


def test_an_unknown_client_is_refused() -> None:
    with pytest.raises(DataError, match="client"):
        Dataset({"x": X}, Y, client=np.array([7, 8, 7])).of_client(9)
    with pytest.raises(DataError, match="client"):
        Dataset({"x": X}, Y).of_client(9)


@pytest.mark.parametrize(
    ("arrays", "word"),
    [
        ({"x": X}, "array y"),
        ({"y": Y}, "array x"),
        ({"x": X, "y": Y[:2]}, "the same number"),
        ({"x": X, "y": Y, "client": Y[:2]}, "the same number"),
        ({"x": X, "y": np.array(3)}, "the same number"),
        ({"x": np.array(["a", "b", "c"]), "y": Y}, "x: expected numbers"),
        ({"x": np.array([None] * 3, dtype=object), "y": Y}, "x: expected numbers"),
        ({"x": X.astype(np.complex64), "y": Y}, "x: expected numbers"),
        ({"x": X, "y": np.array(["a", "b", "c"])}, "y: expected numbers"),
        ({"x": X, "y": Y, "client": np.array([None] * 3, dtype=object)}, "client: expected"),
        ({"x": X, "y": Y, "client": np.zeros(3)}, "client: expected"),
        ({"x": X, "y": Y, "client": np.zeros((3, 1), int)}, "client: expected"),
        ({"x": X, "y": Y, "is_test": Y}, "is_test: expected booleans"),
        ({"x": np.zeros(3, [("a", "f4")]), "y": Y}, "x: expected numbers"),
    ],
)
def test_arrays_that_cannot_be_examples_are_refused(
    tmp_path: Path, arrays: dict[str, Any], word: str
) -> None:
    with pytest.raises(DataError, match=word):
        read_npz(saved(tmp_path, **arrays))


def test_a_header_that_promises_more_than_there_is_allocates_nothing(tmp_path: Path) -> None:
    path = zipped(tmp_path, x=npy(X, shape=(3, 2**26)), y=npy(Y))
    with pytest.raises(DataError, match="bytes, found"):
        read_npz(path)
    with pytest.raises(DataError, match="at most"):
        read_npz(zipped(tmp_path, x=npy(X, shape=(3, 2**50)), y=npy(Y)))
    with pytest.raises(DataError):
        read_npz(zipped(tmp_path, x=npy(X, shape=(3, -2)), y=npy(Y)))


def test_a_member_that_is_not_an_array_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.npy"):
        read_npz(zipped(tmp_path, x=b"\x80\x04N.", y=npy(Y)))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_numpy_never_uses_is_refused_unread(tmp_path: Path, method: int) -> None:
    """Forty bytes of it can expand to megabytes; deflate expands at most a thousand times."""
    with zipfile.ZipFile(tmp_path / "data.npz", "w", method) as archive:
        archive.writestr("x.npy", npy(np.zeros((3, 2**20))))
        archive.writestr("y.npy", npy(Y))
    with pytest.raises(DataError, match="stored or deflated"):
        read_npz(tmp_path / "data.npz")


@pytest.mark.parametrize("text", [b"{'descr': (", b"{" * 9000, b"{'descr': [[]]}", b"{[]: 1}"])
def test_a_header_that_is_not_a_python_literal_is_refused(tmp_path: Path, text: bytes) -> None:
    header = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    with pytest.raises(DataError, match="a NumPy array"):
        read_npz(zipped(tmp_path, x=header, y=npy(Y)))


def test_names_beyond_unicode_are_refused(tmp_path: Path) -> None:
    client = np.frombuffer(b"\xff" * 12, np.uint8)
    path = zipped(tmp_path, x=npy(X), y=npy(Y), client=npy(client, descr="<U1", shape=(3,)))
    with pytest.raises(DataError, match="Unicode"):
        read_npz(path)


def test_a_member_that_starts_before_the_file_counts_as_damage(tmp_path: Path) -> None:
    """And not a wrong setting, although the system refuses to seek there."""
    path = saved(tmp_path, x=X, y=Y)
    data = bytearray(path.read_bytes())
    end = data.rfind(b"PK\5\6") + 16
    data[end : end + 4] = (int.from_bytes(data[end : end + 4], "little") + 4).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"intact \.npz"):
        read_npz(path)


def test_a_header_that_unpacks_to_gigabytes_is_not_read(tmp_path: Path) -> None:
    """NumPy's second format allows a header of 4 GiB, and spaces deflate to a thousandth."""
    size = 64 * 2**20
    bomb = b"\x93NUMPY\x02\x00" + size.to_bytes(4, "little") + b" " * size
    path = zipped(tmp_path, x=bomb, y=npy(Y))
    assert path.stat().st_size < 2**17
    del bomb
    tracemalloc.start()
    with pytest.raises(DataError, match=f"a header of {size} bytes"):
        read_npz(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        (np.uint8, (2**30, 1)),  # 1 GiB as bytes, 5 GiB as numbers to train on
        (np.float32, (2**40, 0)),  # no bytes at all, but a trillion examples to shuffle
    ],
)
def test_arrays_count_by_their_size_in_memory(
    tmp_path: Path, dtype: type, shape: tuple[int, int]
) -> None:
    liar = npy(np.zeros(0, dtype), shape=shape)
    y = npy(np.zeros(0, np.float32), shape=(shape[0], 0))
    with pytest.raises(DataError, match=r"at most 4294967296 bytes of memory"):
        read_npz(zipped(tmp_path, x=liar, y=y))


def test_clients_are_compared_without_converting_them_to_text() -> None:
    """Each would take 84 bytes as text."""
    n = 200_000
    data = Dataset({"x": np.zeros((n, 1), np.int8)}, np.zeros(n, np.int8), client=np.arange(n))
    tracemalloc.start()
    assert data.of_client("199999").n_examples == 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * n
    for name in ("-1", "07", "1.0", "", "9" * 30, "x", "\u0663"):
        with pytest.raises(DataError, match="client"):
            data.of_client(name)


def test_too_many_arrays_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="up to 256"):
        read_npz(zipped(tmp_path, **{f"a{i}": npy(Y) for i in range(257)}))


def test_a_missing_file_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        read_npz(tmp_path / "nowhere.npz")
    with pytest.raises(ConfigError, match="directory"):
        read_npz(tmp_path)


@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", npy(X)])
def test_another_kind_of_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"intact \.npz"):
        read_npz(tmp_path / "data.npz")


COMPRESSED = io.BytesIO()
np.savez_compressed(COMPRESSED, x=X, y=Y)


@given(st.data())
def test_a_damaged_file_is_read_correctly_or_refused(data: st.DataObject) -> None:
    damaged = bytearray(COMPRESSED.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_npz(io.BytesIO(damaged))  # type: ignore[arg-type]
    except DataError:
        return
    np.testing.assert_array_equal(found.inputs["x"], X)
    np.testing.assert_array_equal(found.targets, Y)


@pytest.mark.data
def test_wisdm_has_36_clients_and_missing_values_in_three_columns() -> None:
    data = read_npz(data_file("wisdm/wisdm.npz"))
    assert data.client is not None
    assert len(np.unique(data.client)) == 36
    assert np.isnan(data.inputs["x"]).any(axis=0).sum() == 3
    assert data.train().n_examples + data.test().n_examples == data.n_examples == 5418
