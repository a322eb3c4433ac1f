"""What a device said about its outbox, and what is on its disk: they must agree."""

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
    """The content of an outbox: nonces waiting for an answer, and the residual's hash."""

    pending: frozenset[str] = frozenset()
    residual: str = "-"


@dataclass(frozen=True, slots=True)
class Account:
    """What follows from a device's output since power-on.

    Attributes:
        done: the content after all transactions that returned.
        possible: including the one that began but did not return, which may have happened or not.
        rounds: rounds of the updates put in, by nonce.
        accepted: nonces of the updates the aggregator accepted.
        n_refused: number of updates it refused.
    """

    done: Kept
    possible: Kept
    rounds: dict[str, int] = field(default_factory=dict)
    accepted: frozenset[str] = frozenset()
    n_refused: int = 0


def follow(before: Kept, log: str) -> Account:
    """What a device must have kept, given what it had and what it has said since."""
    account = Account(before, before)
    for verb, number, nonce, residual in _LINE.findall(log):
        match verb:
            case "put":
                after = Kept(account.done.pending | {nonce}, residual)
                rounds = {**account.rounds, nonce: int(number)}
                account = replace(account, possible=after, rounds=rounds)
            case "accept":
                after = replace(account.done, pending=account.done.pending - {nonce})
                account = replace(account, possible=after, accepted=account.accepted | {nonce})
            case "refuse":
                account = replace(account, n_refused=account.n_refused + 1)
            case "has-put" | "has-accepted":
                account = replace(account, done=account.possible)
            case _:
                pass  # not one of this program's lines
    return account


def look_up(disk: Path) -> tuple[Kept, str]:
    """What is on the disk of a machine that lost power, and what is wrong with it.

    The disk itself is left alone, so that the next boot has to recover it.

    Returns:
        the content, and a sentence that is empty if file system and database are intact.
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
    """The content of a device's database; reading recovers it, as the device would."""
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
