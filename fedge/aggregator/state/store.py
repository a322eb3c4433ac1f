"""The aggregator's memory: each method that writes is one transaction, durable on return."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

from fedge.aggregator.state import database
from fedge.aggregator.state.model_table import (
    BEST_FIRST,
    forget_broadcasts,
    insert_model,
    read_broadcasts,
    read_models,
)
from fedge.aggregator.state.records import (
    JobRecord,
    Member,
    ModelRecord,
    RoundRecord,
    Tally,
    UpdateRecord,
)
from fedge.aggregator.state.round_table import (
    add_tally,
    count_trained,
    end_round,
    insert_round,
    read_medians,
    read_open,
    read_refusals,
    read_reports,
)
from fedge.aggregator.state.update_table import (
    apply_updates,
    insert_updates,
    read_examples,
    read_last,
    read_members,
    read_payloads,
    read_taken,
)
from fedge.storage import reading, transaction, writing
from fedge.types import DeviceId, RoundId


class Store:
    """The state directory's database; `fedge.aggregator.state.schema` describes it.

    Args:
        folder: the state directory, which the caller has locked.
        timestamp: gives the time now, as text for people.

    Raises:
        StorageError: from every method, if the disk is full or the file is damaged.
    """

    def __init__(self, folder: Path, *, timestamp: Callable[[], str]) -> None:
        self._path, self._timestamp = folder / database.NAME, timestamp
        self._db = database.connect(folder)

    def close(self) -> None:
        self._db.close()

    def job(self) -> JobRecord | None:
        """The job that the directory belongs to; None if it is new."""
        with reading(self._path):
            row = self._db.execute(
                "SELECT fleet, job, run, artifact, sequence, is_announced, last_number FROM job"
            ).fetchone()
        if row is None:
            return None
        fleet, job, run, artifact, sequence, is_announced, last_number = row
        return JobRecord(
            fleet=fleet,
            job=job,
            run=run,
            artifact=artifact,
            sequence=sequence,
            is_announced=bool(is_announced),
            last_number=last_number,
        )

    def begin(self, job: JobRecord, model: ModelRecord) -> None:
        """Set up a new directory: its job, and model version 0."""
        with self._writing() as db:
            db.execute(
                "INSERT INTO job (id, fleet, job, run, artifact, sequence, created_at) "
                "VALUES (1, ?, ?, ?, ?, ?, ?)",
                (job.fleet, job.job, job.run, job.artifact, job.sequence, self._timestamp()),
            )
            insert_model(db, model, self._timestamp())

    def announce(self, sequence: int) -> None:
        """The devices have been told that the job is finished."""
        with self._writing() as db:
            db.execute("UPDATE job SET is_announced = 1, sequence = ?", (sequence,))

    def keep_sequence(self, sequence: int) -> None:
        """A manifest with this number is about to be published."""
        with self._writing() as db:
            db.execute("UPDATE job SET sequence = ?", (sequence,))

    def open_round(self, record: RoundRecord, sequence: int) -> None:
        """A round begins; its manifest carries this sequence number."""
        with self._writing() as db:
            db.execute(
                "UPDATE job SET sequence = ?, is_announced = 0, last_number = max(last_number, ?)",
                (sequence, record.round),
            )
            insert_round(db, record)

    def reopen_round(self, round_: RoundId, manifest: bytes, sequence: int) -> None:
        """The open round continues under another manifest."""
        with self._writing() as db:
            db.execute("UPDATE job SET sequence = ?", (sequence,))
            db.execute("UPDATE round SET manifest = ? WHERE round = ?", (manifest, round_))

    def give_up_round(self, round_: RoundId) -> None:
        """The open round ends without a model; the updates it accepted go into the next one."""
        with self._writing() as db:
            end_round(db, round_, self._timestamp())

    def leap(self, sequence: int, last_number: int) -> None:
        """Numbers up to these were given out before this directory was restored."""
        with self._writing() as db:
            db.execute(
                "UPDATE job SET sequence = max(sequence, ?), last_number = max(last_number, ?)",
                (sequence, last_number),
            )

    def spend(self, round_: RoundId, spent_s: float) -> None:
        """This much of the open round's deadline has passed."""
        with self._writing() as db:
            db.execute("UPDATE round SET spent_s = ? WHERE round = ?", (spent_s, round_))

    def examples(self) -> dict[DeviceId, int]:
        """How many examples each device said it has, in its last accepted update."""
        with reading(self._path):
            return read_examples(self._db)

    def silent(self) -> dict[DeviceId, int]:
        """How many rounds each silent device has missed in a row."""
        with reading(self._path):
            rows = self._db.execute("SELECT device, n_missed FROM silent").fetchall()
        return {DeviceId(device): n_missed for device, n_missed in rows}

    def keep_silent(self, missed: Mapping[DeviceId, int]) -> None:
        """These devices are silent, and no others."""
        with self._writing() as db:
            db.execute("DELETE FROM silent")
            db.executemany("INSERT INTO silent (device, n_missed) VALUES (?, ?)", missed.items())

    def n_trained(self) -> int:
        """How many training rounds have closed."""
        with reading(self._path):
            return count_trained(self._db)

    def current_round(self) -> RoundRecord | None:
        """The open round, if there is one."""
        with reading(self._path):
            return read_open(self._db)

    def accept(self, updates: Iterable[UpdateRecord], tally: Tally) -> None:
        """Take updates of the open round; they are accepted when this returns.

        The caller ensures that no device has two in a round; otherwise `close_round` fails.
        """
        with self._writing() as db:
            insert_updates(db, updates, self._timestamp())
            add_tally(db, tally)

    def count(self, tally: Tally) -> None:
        """Store what was counted since the last commit."""
        with self._writing() as db:
            add_tally(db, tally)

    def nonce(self, round_: RoundId, device: DeviceId) -> bytes | None:
        """The nonce of the device's update of this round, if it is in a model."""
        with reading(self._path):
            row = self._db.execute(
                "SELECT nonce FROM applied WHERE round = ? AND device = ?", (round_, device)
            ).fetchone()
        return None if row is None else row[0]

    def last_nonce(self, device: DeviceId, rounds: range) -> tuple[RoundId, bytes] | None:
        """The last of these rounds whose model contains an update of the device, and its nonce."""
        with reading(self._path):
            return read_last(self._db, device, rounds)

    def applied(self, round_: RoundId) -> dict[DeviceId, bytes]:
        """Nonces of all updates of a round that are in a model."""
        with reading(self._path):
            rows = self._db.execute(
                "SELECT device, nonce FROM applied WHERE round = ?", (round_,)
            ).fetchall()
        return {DeviceId(device): nonce for device, nonce in rows}

    def taken(self) -> dict[RoundId, dict[DeviceId, bytes]]:
        """Nonces of all accepted updates that are in no model, by round.

        They belong to the open round and to rounds abandoned since the last model.
        """
        with reading(self._path):
            return read_taken(self._db)

    def cohort(self, round_: RoundId) -> list[Member]:  # noqa: ARG002 - of the open round
        """The members whose updates the open round's model will be made of, in device order.

        They include members of rounds abandoned since the last model.
        """
        with reading(self._path):
            return read_members(self._db)

    def payloads(self, cohort: Iterable[Member]) -> Iterator[bytes]:
        """Their payloads in the order given, one in memory at a time."""
        with reading(self._path), closing(read_payloads(self._db, cohort)) as found:
            yield from found

    def close_round(
        self,
        model: ModelRecord,
        report: Mapping[str, Any],
        tally: Tally,
        *,
        broadcast: bytes | None = None,
        keep_broadcasts: int,
    ) -> None:
        """Store a model and mark all accepted updates as part of it and of no other.

        Only the last `keep_broadcasts` broadcasts are kept.
        """
        with self._writing() as db:
            add_tally(db, tally)
            insert_model(db, model, self._timestamp(), broadcast=broadcast)
            forget_broadcasts(db, model.version + 1 - keep_broadcasts)
            apply_updates(db, model.version)
            end_round(db, model.round, self._timestamp(), report)

    def latest_model(self) -> ModelRecord:
        """The global model that the next round starts from."""
        with reading(self._path):
            return next(read_models(self._db, "ORDER BY version DESC LIMIT 1"))

    def newest_models(self, most: int) -> list[ModelRecord]:
        """The newest models, newest first."""
        with reading(self._path):
            return list(read_models(self._db, "ORDER BY version DESC LIMIT ?", most))

    def best_model(self) -> ModelRecord | None:
        """The first of the highest accuracy, or else of the lowest loss, if any was evaluated."""
        with reading(self._path):
            return next(read_models(self._db, f"{BEST_FIRST} LIMIT 1"), None)

    def broadcasts(self, most: int) -> list[bytes]:
        """The last broadcasts, oldest first, that lead without a gap to what devices hold now."""
        with reading(self._path):
            return read_broadcasts(self._db, most)

    def reports(self) -> list[dict[str, Any]]:
        """The event line of every closed round, oldest first."""
        with reading(self._path):
            return read_reports(self._db)

    def medians(self, what: Literal["norm", "examples"], n: int) -> list[Any]:
        """Medians of the last n training rounds, oldest first, where there was one."""
        with reading(self._path):
            return read_medians(self._db, f"{what}_median", n)

    def refusals(self, round_: RoundId) -> dict[str, int]:
        """How many updates were refused while this round was open, by reason."""
        with reading(self._path):
            return read_refusals(self._db, round_)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with writing(self._path), transaction(self._db):
            yield self._db
