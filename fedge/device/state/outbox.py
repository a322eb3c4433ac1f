"""What must survive a power cut: results on their way, and the residuals of their encoding.

    job(name, run, schema, residual, answered_round, answered_model, sequence)
        run: the one that all the rest belongs to, including the job's results
        residual: float32, little-endian, (n_trainable,); NULL before the first
        answered_*: the last round this device answered, and for which model
        sequence: of the manifest that was answered; an older one starts nothing
    outbox(nonce, job, run, round, kind, parts, schema, has_feedback, payload, n_damaged,
           n_steps, loss, own_key, own_change)
        a result from the moment it is encoded until the aggregator's answer
        n_steps, loss: sent with it; NULL if they are not

A result, its residual and the device's own vector (`own_vector`) change in one transaction: when
the result is put in, and when a refusal gives it back.
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedge import codecs
from fedge.device.state import own_vector
from fedge.device.state.answers import Answer
from fedge.device.state.database import Database
from fedge.device.state.own_vector import Own
from fedge.errors import PayloadError
from fedge.messages import Facts, RoundKind
from fedge.types import JobId, RoundId, Vector

_TABLES = """
CREATE TABLE IF NOT EXISTS job (
    name TEXT PRIMARY KEY, run BLOB, schema BLOB, residual BLOB,
    answered_round INTEGER, answered_model BLOB, sequence INTEGER);
CREATE TABLE IF NOT EXISTS outbox (
    nonce BLOB PRIMARY KEY, job TEXT NOT NULL, run BLOB NOT NULL, round INTEGER NOT NULL,
    kind TEXT NOT NULL, parts INTEGER NOT NULL, schema BLOB NOT NULL, has_feedback INTEGER NOT NULL,
    payload BLOB NOT NULL, n_damaged INTEGER NOT NULL DEFAULT 0, n_steps INTEGER, loss REAL);
"""
_FACTS = (("outbox", "n_steps", "INTEGER"), ("outbox", "loss", "REAL"))
_COLUMNS = "job, run, round, nonce, kind, parts, schema, has_feedback, payload, n_steps, loss"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a round asked for, encoded, with everything needed to send it again."""

    job: JobId
    run: bytes
    round: RoundId
    nonce: bytes  # drawn once; the same when it is sent again
    kind: RoundKind
    parts: int  # number of update topic partitions when the round was opened
    schema: bytes  # 32 bytes: of the model it was made for
    has_feedback: bool  # whether a refusal returns the payload to the residual
    payload: bytes
    facts: Facts | None = None  # sent with it


class Outbox:
    """Results not yet acknowledged, and each job's residual.

    Args:
        path: the database; created if it does not exist.
        fleet: the fleet of the device that the outbox belongs to.
        device: the device that the outbox belongs to.

    Raises:
        StorageError: from every method, when the disk is full or the file damaged.
        ConfigError: on construction, if it belongs to another device.

    Attributes:
        database: where it is stored, for other parts that store something there.
    """

    def __init__(self, path: Path, *, fleet: str, device: str) -> None:
        self.database = Database(path, fleet=fleet, device=device)
        self.database.make(_TABLES)
        self.database.make(own_vector.TABLE)
        for column in (("job", "sequence", "INTEGER"), *_FACTS, *own_vector.COLUMNS):
            self.database.add_column(*column)  # which older releases lack

    def put(
        self,
        result: Result,
        *,
        model_sha256: bytes,
        sequence: int,
        residual: Vector | None,
        own: Own | None = None,
    ) -> None:
        """Store a result, and the residual and the device's own vector after it.

        None leaves the residual, or the vector, alone.
        """
        with self.database.transaction() as db:
            if residual is not None:
                _free_residual(db, result.job)
            db.execute(
                f"INSERT INTO outbox ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)",  # noqa: S608 - constant
                (
                    result.job,
                    result.run,
                    result.round,
                    result.nonce,
                    result.kind.value,
                    result.parts,
                    result.schema,
                    result.has_feedback,
                    result.payload,
                    None if result.facts is None else result.facts.n_steps,
                    None if result.facts is None else result.facts.loss,
                ),
            )
            db.execute(
                "INSERT INTO job (name, run, answered_round, answered_model, sequence) "
                "VALUES (?,?,?,?,?) ON CONFLICT (name) DO UPDATE SET "
                "answered_round = excluded.answered_round, "
                "answered_model = excluded.answered_model, sequence = excluded.sequence",
                (result.job, result.run, result.round, model_sha256, sequence),
            )
            if residual is not None:
                self._write_residual(db, result.job, result.schema, residual)
            if own is not None:
                own_vector.write_own(db, result.job, result.nonce, own)

    def own(self, job: JobId, key: str) -> Vector | None:
        """A writable copy of the device's own vector, if there is one under this key."""
        row = self.database.row("SELECT vector FROM own WHERE job = ? AND key = ?", job, key)
        return None if row is None else own_vector.read_vector(row[0])

    def run(self, job: JobId) -> bytes | None:
        """The run of the job that was entered last."""
        row = self.database.row("SELECT run FROM job WHERE name = ?", job)
        return row[0] if row else None

    def enter(self, job: JobId, run: bytes) -> None:
        """From now on take part in this run of the job; everything of another run is forgotten."""
        with self.database.transaction() as db:
            db.execute("DELETE FROM outbox WHERE job = ? AND run <> ?", (job, run))
            if db.execute("DELETE FROM job WHERE name = ? AND run <> ?", (job, run)).rowcount:
                own_vector.forget_own(db, job)
            db.execute("INSERT OR IGNORE INTO job (name, run) VALUES (?,?)", (job, run))

    def answered(self, job: JobId) -> Answer | None:
        """The last round of the job that was answered."""
        row = self.database.row(
            "SELECT answered_round, answered_model FROM job WHERE name = ?", job
        )
        return Answer(RoundId(row[0]), row[1]) if row and row[0] is not None else None

    def sequence(self, job: JobId) -> int:
        """The sequence number of the manifest answered last; -1 if none was."""
        row = self.database.row("SELECT sequence FROM job WHERE name = ?", job)
        return -1 if row is None or row[0] is None else int(row[0])

    def holds(self, job: JobId, round_: RoundId) -> bool:
        """Whether a result of this round is still waiting for its answer."""
        found = self.database.row(
            "SELECT 1 FROM outbox WHERE job = ? AND round = ? LIMIT 1", job, round_
        )
        return found is not None

    def residual(self, job: JobId, schema: bytes) -> Vector | None:
        """A writable copy of the job's residual, if there is one for a model of this schema."""
        row = self.database.row("SELECT schema, residual FROM job WHERE name = ?", job)
        if row is None or row[0] != schema or row[1] is None:
            return None
        return np.frombuffer(row[1], "<f4").astype(np.float32)

    def drop_residual(self, job: JobId, schema: bytes) -> bool:
        """Forget a residual of another schema; whether there was one."""
        with self.database.transaction() as db:
            changed = db.execute(
                "UPDATE job SET schema = NULL, residual = NULL "
                "WHERE name = ? AND residual IS NOT NULL AND schema <> ?",
                (job, schema),
            )
            return changed.rowcount > 0

    def pending(self) -> list[bytes]:
        """Nonces of the results without an answer, oldest first."""
        return [nonce for (nonce,) in self.database.rows("SELECT nonce FROM outbox ORDER BY rowid")]

    def result(self, nonce: bytes) -> Result | None:
        """The result with this nonce, unless it has been answered."""
        row = self.database.row(f"SELECT {_COLUMNS} FROM outbox WHERE nonce = ?", nonce)  # noqa: S608 - constant
        if row is None:
            return None
        job, run, round_, nonce, kind, parts, schema, has_feedback, payload, n_steps, loss = row
        return Result(
            job=JobId(job),
            run=run,
            round=RoundId(round_),
            nonce=nonce,
            kind=RoundKind(kind),
            parts=parts,
            schema=schema,
            has_feedback=bool(has_feedback),
            payload=payload,
            facts=None if n_steps is None else Facts(n_steps=n_steps, loss=loss),
        )

    def accept(self, nonce: bytes) -> None:
        """The aggregator has it on disk: forget it."""
        with self.database.transaction() as db:
            db.execute("DELETE FROM outbox WHERE nonce = ?", (nonce,))

    def refuse(self, nonce: bytes) -> bool:
        """It will never be counted: forget it; whether it went back into the residual."""
        result = self.result(nonce)
        if result is None:
            return False
        residual = _give_back(result, self.residual(result.job, result.schema))
        with self.database.transaction() as db:
            own_vector.give_back(db, result.job, nonce)
            db.execute("DELETE FROM outbox WHERE nonce = ?", (nonce,))
            if residual is not None:
                _free_residual(db, result.job)
                self._write_residual(db, result.job, result.schema, residual)
        return residual is not None

    def forget(self, job: JobId) -> None:
        """What is stored about the job is out of date: drop results, residual and own vector."""
        with self.database.transaction() as db:
            own_vector.forget_own(db, job)
            db.execute("DELETE FROM outbox WHERE job = ?", (job,))
            db.execute("UPDATE job SET schema = NULL, residual = NULL WHERE name = ?", (job,))

    def count_damage(self, nonce: bytes) -> int:
        """How often it has arrived damaged, including this time."""
        with self.database.transaction() as db:
            db.execute("UPDATE outbox SET n_damaged = n_damaged + 1 WHERE nonce = ?", (nonce,))
        row = self.database.row("SELECT n_damaged FROM outbox WHERE nonce = ?", nonce)
        return int(row[0]) if row else 0

    def close(self) -> None:
        self.database.close()

    def _write_residual(
        self, db: sqlite3.Connection, job: JobId, schema: bytes, residual: Vector
    ) -> None:
        data = residual.astype("<f4", copy=False).tobytes()
        db.execute("UPDATE job SET schema = ?, residual = ? WHERE name = ?", (schema, data, job))


def _free_residual(db: sqlite3.Connection, job: JobId) -> None:
    """Free its pages for reuse within this transaction.

    SQLite writes before it frees, and every update of the row rewrites all of it: file and log
    would hold the residual twice.
    """
    db.execute("UPDATE job SET residual = NULL WHERE name = ?", (job,))


def _give_back(result: Result, residual: Vector | None) -> Vector | None:
    """The residual with the payload added back; None if there is nothing to add it to."""
    if not result.has_feedback or residual is None:
        return None
    try:
        codecs.restore(result.payload, residual)
    except PayloadError:
        return None  # this device's own bytes, so only a damaged disk gets here
    return residual
