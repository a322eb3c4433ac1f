"""State directories: nobody else can read them, whatever the umask, and no link leads out."""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedge.device.state.database import Database
from fedge.device.state.directory import lock_state
from fedge.errors import StorageError
from fedge.storage import check_private, make_private, open_private, write_file


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def modes(folder: Path) -> set[tuple[bool, int]]:
    return {(path.is_dir(), mode(path)) for path in [folder, *folder.rglob("*")]}


def test_state_is_private_under_any_umask(tmp_path: Path, umask: int) -> None:
    state = tmp_path / "state"
    make_private(state)
    make_private(state)
    os.close(open_private(state / "file", os.O_RDWR | os.O_CREAT))
    write_file(state / "model", b"x", is_private=True)
    assert modes(state) == {(True, 0o700), (False, 0o600)}
    check_private(state)


def test_exported_files_are_readable_under_any_umask(tmp_path: Path, umask: int) -> None:
    write_file(tmp_path / "model.onnx", b"x")
    assert mode(tmp_path / "model.onnx") == 0o644


def test_a_devices_database_and_its_companions_are_private(tmp_path: Path, umask: int) -> None:
    lock = lock_state(tmp_path / "state")
    database = Database(tmp_path / "state" / "outbox.sqlite3", fleet="home", device="pi-3")
    names = {path.name for path in (tmp_path / "state").iterdir()}
    assert names == {"lock", "outbox.sqlite3", "outbox.sqlite3-wal", "outbox.sqlite3-shm"}
    assert modes(tmp_path / "state") == {(True, 0o700), (False, 0o600)}
    database.close()
    lock.release()


@pytest.mark.parametrize("wide", ["state", "state/models", "state/models/file", "state/lock"])
@pytest.mark.parametrize("bits", [0o040, 0o004, 0o010, 0o002])
def test_a_directory_open_to_others_is_refused_with_the_command_that_fixes_it(
    tmp_path: Path, wide: str, bits: int
) -> None:
    folder = tmp_path / "a folder with spaces"
    make_private(folder / "state")
    make_private(folder / "state" / "models")
    write_file(folder / "state" / "models" / "file", b"x", is_private=True)
    lock_state(folder / "state").release()
    (folder / wide).chmod(mode(folder / wide) | bits)
    with pytest.raises(StorageError, match="others may use") as caught:
        lock_state(folder / "state")
    said = str(caught.value)
    assert f"(mode {mode(folder / wide):04o})" in said
    assert str(folder / wide) in said
    command = said[said.index("chmod") :]
    subprocess.run(command, shell=True, check=True)  # noqa: S602 - as a user would
    lock_state(folder / "state").release()


@pytest.mark.parametrize("link", ["state", "state/lock", "state/models", "state/outbox.sqlite3"])
def test_a_symbolic_link_is_not_followed(tmp_path: Path, link: str) -> None:
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / "victim").write_bytes(b"precious")
    if link != "state":
        make_private(tmp_path / "state")
    target = "victim" if link in {"state/lock", "state/outbox.sqlite3"} else "target"
    (tmp_path / link).symlink_to(tmp_path / target)
    with pytest.raises(StorageError, match="is a symbolic link") as caught:
        lock_state(tmp_path / "state")
    assert str(tmp_path / target) in str(caught.value)
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert list((tmp_path / "target").iterdir()) == []


def test_a_link_created_after_the_check_is_not_followed_either(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    before = mode(tmp_path / "victim")
    (tmp_path / "outbox.sqlite3").symlink_to(tmp_path / "victim")
    with pytest.raises(StorageError, match="is a symbolic link"):
        Database(tmp_path / "outbox.sqlite3", fleet="home", device="pi-3")
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert mode(tmp_path / "victim") == before


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").touch(mode=0o600)
    with pytest.raises(StorageError, match=r"cannot write .*state: File exists"):
        make_private(tmp_path / "state")
