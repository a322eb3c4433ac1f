"""Folders of the cache are whole or not there, whoever is killed and however many want them."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from firmware_sim.stock import cache
from firmware_sim.stock.digest import drop_corrupt, sha256

KILLED_HALFWAY = """
import os, signal
from firmware_sim.stock import cache
def make(folder):
    (folder / "first").touch()
    print("started", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
cache.made("thing", "k", make)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEDGE_EMULATION_CACHE", str(tmp_path))
    return tmp_path


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEDGE_EMULATION_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache.home() == Path("/caches/fedge/emulation")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.home() == Path.home() / ".cache/fedge/emulation"


def test_a_folder_is_made_once() -> None:
    made = []

    def make(folder: Path) -> None:
        (folder / "file").touch()
        made.append(folder)

    for _ in range(2):
        assert (cache.made("thing", "k", make) / "file").exists()
    assert len(made) == 1


def test_nothing_is_left_of_a_folder_that_failed(home: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "half").touch()
        raise RuntimeError("no network")

    with pytest.raises(RuntimeError):
        cache.made("thing", "k", make)
    assert list((home / "thing").iterdir()) == []


def test_what_a_killed_process_left_is_not_used_and_cleared_away(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_HALFWAY], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (-9, "started\n")
    assert not (home / "thing" / "k").exists()
    folder = cache.made("thing", "k", lambda folder: (folder / "second").touch())
    assert [path.name for path in folder.iterdir()] == ["second"]
    assert list((home / "thing").iterdir()) == [folder]


def _make_slowly(number: int) -> None:
    def make(folder: Path) -> None:
        (folder / f"by-{number}").touch()
        time.sleep(0.3)

    cache.made("thing", "k", make)


def test_two_processes_at_once_make_it_once(home: Path) -> None:
    processes = [multiprocessing.Process(target=_make_slowly, args=(i,)) for i in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(list((home / "thing" / "k").iterdir())) == 1


def test_a_folder_unused_for_long_makes_room_and_one_in_use_stays(home: Path) -> None:
    for key in ("used", "unused"):
        folder = cache.made("thing", key, lambda _: None)
        os.utime(folder, (0, 0))
    cache.made("thing", "used", lambda _: None)
    cache.made("thing", "new", lambda _: None)
    assert {path.name for path in (home / "thing").iterdir()} == {"used", "new"}


def test_a_key_stands_for_its_parts() -> None:
    assert cache.key("a", 1, ["b"]) == cache.key("a", 1, ("b",))
    assert len({cache.key("a", "bc"), cache.key("ab", "c"), cache.key("abc")}) == 3


@pytest.mark.parametrize("content", [b"", b"contenT", b"content and more"])
def test_a_file_with_another_hash_is_deleted_aloud(home: Path, content: bytes) -> None:
    good, bad = home / "good.deb", home / "bad.deb"
    good.write_bytes(b"content")
    bad.write_bytes(content)
    told: list[str] = []
    expected = dict.fromkeys(["good.deb", "bad.deb", "absent.deb"], sha256(good))
    assert drop_corrupt(home, expected, told.append) == ["bad.deb", "absent.deb"]
    assert told == ["bad.deb in the cache is corrupt: it is fetched again"]
    assert good.exists()
    assert not bad.exists()
