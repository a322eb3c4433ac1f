"""Data files: zips of arrays, with correct checksums, in every compression that Python has."""

import io
import random
import warnings
import zipfile
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np

from fedge.data import read_npz
from fedge.errors import DataError
from fedge.training import ArrayData
from tests.fuzz.models import MANIFEST
from tests.fuzz.target import Change, Target, read

_FACTOR = 4200  # times its size: deflate expands up to 1032 times, which is held twice and cast
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_NAMES = (
    "x.npy",
    "y.npy",
    "client.npy",
    "is_test.npy",
    "z.npy",
    "x",
    ".npy",
    "../x.npy",
    "y\n.npy",
)
_DESCRS: tuple[Any, ...] = (
    *("<f4", "<f8", "<f2", ">f4", "<i8", "|i1", "|u1", "|b1", "<U1", "<U0", "|S0", "|S3", "|O"),
    *("<c8", "<M8[s]", "<m8", "|V0", "|V4", "", "x", "<f4,<i4", "f4" * 40, None, 4, [], ["<f4"]),
    *([("a", "<f4")], [("a", "<f4", 3)], [["a"]], ("<f4", (2,)), {"names": []}, -1, b"<f4"),
)
_SHAPES = (
    *((), (0,), (3,), (3, 2), (3, 0), (0, 2**62), (2**62, 2**62), (-3, -2), (3, -2), (2**63,)),
    *((10**30,), (1.0,), (True, 2), "3", None, 3, [3, 2], (3,) * 33, (3,) * 65, ((3,),)),
)
Members = list[tuple[str, bytes, int]]


def check(data: bytes) -> bool:
    """The bytes are a set of examples or are refused; so is a model's check of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with NamedTemporaryFile(suffix=".npz") as file:  # zipfile treats other objects differently
            file.write(data)
            file.flush()
            found = read(lambda: read_npz(file.name), (DataError,), most_bytes=_FACTOR * len(data))
        if found is None:
            return False
        n = found.n_examples
        assert all(len(array) == n for array in found.inputs.values())
        assert found.train().n_examples + found.test().n_examples == n
        if found.client is not None and n:
            assert found.of_client(found.client[0]).n_examples > 0
        read(
            lambda: ArrayData.of(found).check(MANIFEST),
            (DataError,),
            most_bytes=_FACTOR * len(data),
        )
    return True


def mutate(data: bytes, rng: random.Random, change: Change) -> bytes:
    """Changes one array, and repacks all of them."""
    members = unpacked(data)
    if not members or rng.randrange(6) == 0:
        return change(data)
    index = rng.randrange(len(members))
    name, content, method = members[index]
    match rng.randrange(8):
        case 0:
            members[index] = rng.choice(_NAMES), content, method
        case 1:
            members[index] = name, content, rng.choice(_METHODS)
        case 2:
            del members[index]
        case 3:
            members.append((rng.choice(_NAMES), content, method))
        case 4:
            members[index] = name, change(content), method
        case _:
            members[index] = name, _with_header(content, rng, change), method
    return packed(members)


def unpacked(data: bytes) -> Members | None:
    """Names, contents and compression; None if any program would refuse the archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            if sum(info.file_size for info in infos) > 2**20:
                return None
            return [(info.filename, archive.read(info), info.compress_type) for info in infos]
    except Exception:  # a damaged archive: zipfile raises many kinds of exceptions
        return None


def packed(members: Members) -> bytes:
    """The archive, with correct checksums and the earliest date a zip can have."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as archive:
        warnings.simplefilter("ignore")  # two members with the same name
        for name, content, method in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            archive.writestr(info, content)
    return file.getvalue()


def _with_header(content: bytes, rng: random.Random, change: Change) -> bytes:
    """An array's bytes with a different header: one of its three facts made up, or text changed."""
    text = content[10 : 10 + int.from_bytes(content[8:10], "little")]
    values = content[10 + len(text) :]
    facts: dict[str, object] = {"descr": "<i8", "fortran_order": False, "shape": (3,)}
    match rng.randrange(4):
        case 0:
            text = change(text)
        case 1:
            text = repr(facts | {"descr": rng.choice(_DESCRS)}).encode()
        case 2:
            text = repr(facts | {"shape": rng.choice(_SHAPES)}).encode()
        case _:
            made_up = {"descr": rng.choice(_DESCRS), "shape": rng.choice(_SHAPES)}
            text = repr(facts | made_up | {"fortran_order": rng.choice((True, 1))}).encode()
            values = rng.choice((b"", values, values * 2))
    major = rng.choice((1, 1, 1, 2, 3))
    size = len(text).to_bytes(2 if major == 1 else 4, "little", signed=False)
    return b"\x93NUMPY" + bytes([major, 0]) + size + text + values


def seeds() -> dict[str, bytes]:
    """Data for the small model: stored, deflated, with all columns, and with inputs by name."""
    x, y = np.arange(6, dtype=np.float32).reshape(3, 2), np.array([0, 1, 2])
    client, is_test = np.array(["b", "a", "b"]), np.array([True, False, False])
    whole = {"x": x, "y": y, "client": client, "is_test": is_test}
    return {
        "stored": packed(_members({"x": x, "y": y}, zipfile.ZIP_STORED)),
        "deflated": packed(_members(whole, zipfile.ZIP_DEFLATED)),
        "named": packed(_members({"a": x, "b": y, "y": y}, zipfile.ZIP_STORED)),
    }


def _members(arrays: dict[str, Any], method: int) -> Members:
    members: Members = []
    for name, array in arrays.items():
        file = io.BytesIO()
        np.save(file, array)
        members.append((f"{name}.npy", file.getvalue(), method))
    return members


TARGET = Target("npz", check, mutate, seeds, n_mutations=1500)
