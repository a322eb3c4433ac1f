"""The vector that an algorithm keeps on this device: SCAFFOLD's c_i, FedDyn's g_k, Ditto's model.

    own(job, key, vector)
        key: of the algorithm, the model it began with and the schema; the vector means nothing
             under another one
        vector: float32, little-endian, (n_trainable,)
    outbox.own_key, outbox.own
        own: the vector before this update changed it, empty if there was none; NULL: the update
             changed none

It changes in one transaction with the result that it follows from. What was refused did not
happen: then it is as before, and later results that are still waiting change it from there.
"""

import sqlite3
from dataclasses import dataclass

import numpy as np

from fedge.types import JobId, Vector

TABLE = """
CREATE TABLE IF NOT EXISTS own (job TEXT PRIMARY KEY, key TEXT NOT NULL, vector BLOB);
"""
COLUMNS = (("outbox", "own_key", "TEXT"), ("outbox", "own", "BLOB"))


@dataclass(frozen=True, slots=True, eq=False)
class Own:
    """A vector, and the key under which it means something."""

    key: str
    vector: Vector


def own_key(algorithm: str, since: int, schema: bytes) -> str:
    """The key of what this algorithm keeps for models of this schema since a model of the job."""
    return f"{algorithm} since {since} for {schema.hex()}"


def write_own(db: sqlite3.Connection, job: JobId, nonce: bytes, own: Own) -> None:
    """Keep a vector, and with the result that it follows from the one before."""
    before = _read(db, job, own.key)
    db.execute(
        "UPDATE outbox SET own_key = ?, own = ? WHERE nonce = ?", (own.key, before or b"", nonce)
    )
    _write(db, job, own.key, _octets(own.vector))


def give_back(db: sqlite3.Connection, job: JobId, nonce: bytes) -> None:
    """Undo what a result has done to the vector; the result is still in the outbox."""
    row = db.execute("SELECT own_key, own FROM outbox WHERE nonce = ?", (nonce,)).fetchone()
    if row is None or row[1] is None:
        return
    key, before = row
    now = _read(db, job, key)
    if now is None:
        return
    later = db.execute(
        "SELECT nonce, own FROM outbox WHERE job = ? AND own_key = ? AND own IS NOT NULL "
        "AND rowid > (SELECT rowid FROM outbox WHERE nonce = ?) ORDER BY rowid",
        (job, key, nonce),
    ).fetchall()
    if not later:
        _write(db, job, key, before)
        return
    after = _vector(later[0][1], len(now))
    change = after - _vector(before, len(now))
    for other, own in later:
        moved = _octets(_vector(own, len(now)) - change)
        db.execute("UPDATE outbox SET own = ? WHERE nonce = ?", (moved, other))
    _write(db, job, key, _octets(_vector(now, len(now)) - change))


def forget_own(db: sqlite3.Connection, job: JobId) -> None:
    """Drop the vector, and what results in the outbox remember of it."""
    db.execute("DELETE FROM own WHERE job = ?", (job,))
    db.execute("UPDATE outbox SET own_key = NULL, own = NULL WHERE job = ?", (job,))


def _read(db: sqlite3.Connection, job: JobId, key: str) -> bytes | None:
    row = db.execute("SELECT vector FROM own WHERE job = ? AND key = ?", (job, key)).fetchone()
    return None if row is None else row[0]


def _write(db: sqlite3.Connection, job: JobId, key: str, data: bytes) -> None:
    """Replace the vector, whose pages are freed first; empty data deletes it."""
    db.execute("UPDATE own SET vector = NULL WHERE job = ?", (job,))
    if data:
        db.execute("INSERT OR REPLACE INTO own VALUES (?,?,?)", (job, key, data))
    else:
        db.execute("DELETE FROM own WHERE job = ?", (job,))


def _octets(vector: Vector) -> bytes:
    return vector.astype("<f4", copy=False).tobytes()


def _vector(data: bytes, size_bytes: int) -> Vector:
    return np.frombuffer(data or bytes(size_bytes), "<f4").astype(np.float32)
