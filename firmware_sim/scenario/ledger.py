"""What a device said of its outbox, and what is on its disk: they have to agree."""

import hashlib
import re
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from firmware_sim.build.disk import check_ext4, read_ext4
from firmware_sim.errors import EmulationError

_LINE = re.compile(r"^outbox (\S+) (\d+|-) ([0-9a-f]{2,64}) ([0-9a-f]{64}|-)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is in an outbox: nonces that wait for an answer, and the residual's hash."""

    pending: frozenset[str] = frozenset()
    residual: str = "-"


@dataclass(frozen=True, slots=True)
class Told:
    """What follows from what a device has said since its power came.

    Attributes:
        done: what is kept after all transactions that returned.
        possible: with the one that has begun and not returned, which may have happened or not.
        rounds: of the updates that were put in, by nonce.
        accepted: nonces that the aggregator has accepted.
        n_refused: updates that it has not.
    """

    done: Kept
    possible: Kept
    rounds: dict[str, int] = field(default_factory=dict)
    accepted: frozenset[str] = frozenset()
    n_refused: int = 0


def follow(before: Kept, log: str) -> Told:
    """What a device must have kept, from what it had and what it said since."""
    told = Told(before, before)
    for verb, number, nonce, residual in _LINE.findall(log):
        match verb:
            case "put":
                after = Kept(told.done.pending | {nonce}, residual)
                rounds = {**told.rounds, nonce: int(number)}
                told = replace(told, possible=after, rounds=rounds)
            case "accept":
                after = replace(told.done, pending=told.done.pending - {nonce})
                told = replace(told, possible=after, accepted=told.accepted | {nonce})
            case "refuse":
                told = replace(told, n_refused=told.n_refused + 1)
            case "has-put" | "has-accepted":
                told = replace(told, done=told.possible)
            case _:
                pass  # nothing that this program says
    return told


def look_up(disk: Path) -> tuple[Kept, str]:
    """What is on a disk whose machine has lost its power, and what is wrong with it.

    The disk itself is left as it is, so that the next boot has to recover it.

    Returns:
        what is kept, and a sentence that is empty if file system and database are whole.
    """
    with tempfile.TemporaryDirectory(dir=disk.parent) as temporary:
        copy, files = Path(temporary) / "copy.img", Path(temporary) / "files"
        shutil.copyfile(disk, copy)
        try:
            wrong = check_ext4(copy)
            read_ext4(copy, "/files/state", files)
        except EmulationError as error:
            return Kept(), str(error)
        return read_outbox(files / "state" / "outbox.sqlite3", wrong)


def read_outbox(database: Path, wrong: str = "") -> tuple[Kept, str]:
    """What a device's database keeps; reading recovers it, as the device would."""
    if not database.exists():
        return Kept(), wrong
    try:
        with closing(sqlite3.connect(database)) as db:
            (said,) = db.execute("PRAGMA integrity_check").fetchone()
            wrong = wrong or ("" if said == "ok" else f"the database is damaged: {said}")
            pending = frozenset(nonce.hex() for (nonce,) in db.execute("SELECT nonce FROM outbox"))
            row = db.execute("SELECT residual FROM job").fetchone()
    except sqlite3.DatabaseError as error:
        return Kept(), wrong or f"the database cannot be read: {error}"
    has_residual = row is not None and row[0] is not None
    return Kept(pending, hashlib.sha256(row[0]).hexdigest() if has_residual else "-"), wrong
