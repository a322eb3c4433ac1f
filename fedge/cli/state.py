"""What the files in the state directory of a device or an aggregator hold."""

import hashlib
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from fedge.artifact.container import MAX_FILE
from fedge.artifact.files import read_file
from fedge.errors import ConfigError, StorageError
from fedge.storage import open_to_read, reading

Facts: TypeAlias = dict[str, Any]

_DATABASE = b"SQLite format 3\0"
_HASH = re.compile(r"[0-9a-f]{64}")
_OF_A_DATABASE = {
    "-wal": "write-ahead log of a database: changes that are not in it yet",
    "-shm": "index of a write-ahead log; it exists while a process has the database open",
    "-journal": "rollback journal of a database",
}
_OF_DEVICES = ("devices_accuracy", "devices_loss")
_WAL_HEADER, _WAL_FRAME = 32, 24  # bytes
_ZIP = b"PK\x03\x04"


def describe_folder(folder: Path) -> Facts:
    """A whole state directory: whose it is, and each of its files.

    Raises:
        ConfigError: if it is none.
    """
    for name in ("state.sqlite3", "outbox.sqlite3"):
        if (folder / name).is_file():
            facts = _database(folder / name)
            facts["kind"] = facts["kind"].replace("database", "state directory")
            return facts | {"files": [_entry(path, folder) for path in _files(folder)]}
    raise ConfigError(f"{folder} is not the state directory of a device or an aggregator")


def describe_file(path: Path) -> Facts | None:
    """One file of a state directory; None if it is of another kind.

    Raises:
        ConfigError: if it cannot be read.
        StorageError: if it is damaged.
    """
    head = _head(path)
    if path.name.startswith("."):
        return {"kind": "left over from an interrupted write; the next start removes it"}
    if path.name == "lock":
        return {"kind": "lock of a running process", "process_id": _locked_by(path)}
    if head.startswith(_DATABASE):
        return _database(path)
    for end, kind in _OF_A_DATABASE.items():
        if path.name.endswith(end):
            return {"kind": kind, **(_log_facts(path, head) if end == "-wal" else {})}
    if _HASH.fullmatch(path.name.partition(".")[0]) and not head.startswith(_ZIP):
        return _values(path)
    return _events(path) if head.startswith(b"{") else None


def check_name(path: Path, data: bytes) -> None:
    """A file that is named after its SHA-256 must still have it; other files pass."""
    name = path.name.partition(".")[0]
    if _HASH.fullmatch(name) and hashlib.sha256(data).hexdigest() != name:
        raise StorageError(f"{path} is damaged: its SHA-256 is not the one in its name")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _entry(path: Path, folder: Path) -> Facts:
    """A line of the list of files, which also says so if the file is damaged."""
    try:
        size = path.stat().st_size
        facts = describe_file(path)
    except OSError as error:  # it was removed while we looked
        return {"file": str(path.relative_to(folder)), "bytes": None, "kind": error.strerror}
    except (ConfigError, StorageError) as error:
        facts = {"kind": str(error)}
    is_artifact = facts is None and _head(path).startswith(_ZIP)
    kind = facts["kind"] if facts else "artifact" if is_artifact else "unknown"
    return {"file": str(path.relative_to(folder)), "bytes": size, "kind": kind}


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_WAL_HEADER)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None


def _values(path: Path) -> Facts:
    """Parameters, or what a strategy remembers, in a file named after their SHA-256."""
    data = read_file(path, MAX_FILE)
    check_name(path, data)
    if len(data) % 4:
        raise StorageError(f"{path} is not a list of float32 numbers: it has {len(data)} bytes")
    values = np.frombuffer(data, "<f4").astype(np.float64)
    of_strategy = path.suffix == ".memory"
    return {
        "kind": "what a strategy remembers" if of_strategy else "parameters of a model",
        "n_values": values.size,
        "sha256": path.name.partition(".")[0],
        "norm": float(np.sqrt(values @ values)),
        "max_abs": float(np.abs(values).max(initial=0.0)),
    }


def _log_facts(path: Path, head: bytes) -> Facts:
    size = path.stat().st_size
    page = int.from_bytes(head[8:12], "big")
    n_pages = 0 if not page else max(0, size - _WAL_HEADER) // (page + _WAL_FRAME)
    return {"size_bytes": size, "n_pages": n_pages}


def _locked_by(path: Path) -> int | None:
    """Who holds the lock, according to Linux: trying it could keep out a process that starts."""
    try:
        inode = str(path.stat().st_ino)
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    for _, kind, _, _, process, place, *_ in (line.split() for line in lines if "->" not in line):
        if kind == "FLOCK" and place.rpartition(":")[2] == inode:
            return int(process)
    return None


def _events(path: Path) -> Facts | None:
    kinds: Counter[str] = Counter()
    last = None
    try:
        with path.open() as file:
            for line in file:
                event = json.loads(line)
                kinds[event["event"]] += 1
                last = event.get("time", last)
    except (ValueError, KeyError, TypeError, AttributeError):
        if not kinds:
            return None  # otherwise the last line is still being written
    return {"kind": "events of an aggregator", "events": dict(kinds), "last": last}


def _database(path: Path) -> Facts:
    with reading(path), closing(open_to_read(path)) as db:
        rows = db.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        tables = {name for (name,) in rows}
        for table, describe in _OWNERS.items():
            if table in tables:
                return describe(db, path)
    raise ConfigError(f"{path} is a database, but not that of a device or an aggregator")


def _of_aggregator(db: sqlite3.Connection, path: Path) -> Facts:
    row = db.execute("SELECT fleet, job, run, artifact, created_at FROM job").fetchone()
    fleet, job, run, artifact, begun_at = row or ("-", "-", b"", b"", "-")
    (open_round,) = db.execute("SELECT max(round) FROM round WHERE closed_at IS NULL").fetchone()
    (n_closed,) = db.execute("SELECT count(*) FROM round WHERE closed_at IS NOT NULL").fetchone()
    (n_waiting,) = db.execute("SELECT count(*) FROM update_ WHERE applied_in IS NULL").fetchone()
    by_devices = _by_devices(db)
    models = db.execute("SELECT version, round, accuracy, loss, sha256 FROM model ORDER BY version")
    return {
        "kind": "database of an aggregator",
        "fleet": fleet,
        "job": job,
        "run": run.hex(),
        "artifact_sha256": artifact.hex(),
        "begun_at": begun_at,
        "rounds_closed": n_closed,
        "open_round": open_round,
        "updates_in_it": n_waiting,
        "models": [
            {
                "round": round_,
                "accuracy": accuracy,
                "loss": loss,
                **dict(zip(_OF_DEVICES, by_devices.get(version, (None, None)), strict=True)),
                "kept": (path.parent / "models" / f"{sha256.hex()}.f32").is_file(),
                "sha256": sha256.hex(),
            }
            for version, round_, accuracy, loss, sha256 in models
        ],
    }


def _by_devices(db: sqlite3.Connection) -> dict[int, tuple[float | None, float]]:
    """Accuracy and loss of models on the devices' own examples, by version."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'evaluation'").fetchone():
        return {}  # an older release wrote it
    rows = db.execute("SELECT version, accuracy, loss FROM evaluation ORDER BY round")
    return {version: (accuracy, loss) for version, accuracy, loss in rows}


def _of_device(db: sqlite3.Connection, _: Path) -> Facts:
    fleet, device = db.execute("SELECT fleet, device FROM identity").fetchone() or ("-", "-")
    jobs = db.execute("SELECT name, run, answered_round, length(residual) FROM job ORDER BY name")
    n_pending, n_bytes = db.execute("SELECT count(*), sum(length(payload)) FROM outbox").fetchone()
    return {
        "kind": "database of a device",
        "fleet": fleet,
        "device": device,
        "updates_pending": n_pending,
        "pending_bytes": n_bytes or 0,
        "jobs": [
            {
                "job": job,
                "run": (run or b"").hex(),
                "answered_round": answered,
                "residual_values": (size or 0) // 4,
            }
            for job, run, answered, size in jobs
        ],
    }


# By a table that no other database has.
_OWNERS: dict[str, Callable[[sqlite3.Connection, Path], Facts]] = {
    "update_": _of_aggregator,
    "identity": _of_device,
}
