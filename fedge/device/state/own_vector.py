"""The vector that an algorithm keeps on this device: SCAFFOLD's c_i, FedDyn's g_k, Ditto's model.

    own(job, key, vector)
        key: of the algorithm, the model it began with and the schema; the vector means nothing
             under another one
        vector: float32, little-endian, (n_trainable,)
    outbox.own_key, outbox.own_change
        what this result has added to the vector; NULL: nothing that would have to be undone

It changes in one transaction with the result that it follows from. What was refused did not
happen: its change is taken back, whatever came after it. A model of the device's own follows from
its examples and not from what was sent, so a refusal leaves it as it is; otherwise that of a device
whose updates are always late would never learn.
"""

import sqlite3
from dataclasses import dataclass

import numpy as np

from fedge.types import JobId, Vector

TABLE = """
CREATE TABLE IF NOT EXISTS own (job TEXT PRIMARY KEY, key TEXT NOT NULL, vector BLOB);
"""
COLUMNS = (("outbox", "own_key", "TEXT"), ("outbox", "own_change", "BLOB"))


@dataclass(frozen=True, slots=True, eq=False)
class Own:
    """A vector as it is after a result.

    Attributes:
        key: under which it means something.
        vector: float32 (n_trainable,).
        change: what the result has added to it; None if a refusal takes nothing back.
    """

    key: str
    vector: Vector
    change: Vector | None


def own_key(algorithm: str, since: int, schema: bytes) -> str:
    """The key of what this algorithm keeps for models of this schema since a model of the job."""
    return f"{algorithm} since {since} for {schema.hex()}"


def write_own(db: sqlite3.Connection, job: JobId, nonce: bytes, own: Own) -> None:
    """Keep a vector, and with the result that it follows from what that has added."""
    if own.change is not None:
        db.execute(
            "UPDATE outbox SET own_key = ?, own_change = ? WHERE nonce = ?",
            (own.key, _octets(own.change), nonce),
        )
    _write(db, job, own.key, own.vector)


def give_back(db: sqlite3.Connection, job: JobId, nonce: bytes) -> None:
    """Undo what a result has done to the vector; the result is still in the outbox."""
    row = db.execute("SELECT own_key, own_change FROM outbox WHERE nonce = ?", (nonce,)).fetchone()
    if row is None or row[1] is None:
        return
    key, change = row
    now = db.execute("SELECT vector FROM own WHERE job = ? AND key = ?", (job, key)).fetchone()
    if now is not None:
        _write(db, job, key, read_vector(now[0]) - read_vector(change))


def read_vector(data: bytes) -> Vector:
    """A writable copy of a stored vector."""
    return np.frombuffer(data, "<f4").astype(np.float32)


def forget_own(db: sqlite3.Connection, job: JobId) -> None:
    """Drop the vector, and what results in the outbox remember of it."""
    db.execute("DELETE FROM own WHERE job = ?", (job,))
    db.execute("UPDATE outbox SET own_key = NULL, own_change = NULL WHERE job = ?", (job,))


def _write(db: sqlite3.Connection, job: JobId, key: str, vector: Vector) -> None:
    """Replace the vector, whose pages are freed first."""
    db.execute("UPDATE own SET vector = NULL WHERE job = ?", (job,))
    db.execute("INSERT OR REPLACE INTO own VALUES (?,?,?)", (job, key, _octets(vector)))


def _octets(vector: Vector) -> bytes:
    return vector.astype("<f4", copy=False).tobytes()
