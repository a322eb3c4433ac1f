"""An algorithm's vector on the device: it changes with what was sent, and with nothing else."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedge.device.state.disk import needed_bytes
from fedge.device.state.outbox import Outbox
from fedge.device.state.own_vector import Own, own_key
from fedge.errors import StorageError
from tests.support.outboxes import JOB, MODEL, SCHEMA, outbox, result, vector

KEY = own_key("scaffold", 0, SCHEMA)


def put(box: Outbox, nonce: int, *values: float, key: str = KEY) -> None:
    before = box.own(JOB, key)
    after = vector(*values)
    own = Own(key, after, after if before is None else after - before)
    box.put(result(nonce), sequence=7, model_sha256=MODEL, residual=vector(0, 0), own=own)


def own(box: Outbox) -> list[float] | None:
    found = box.own(JOB, KEY)
    return None if found is None else found.tolist()


def test_it_is_there_again_after_a_restart(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    assert own(box) is None
    put(box, 1, 0.5, -1)
    box.close()
    again = outbox(tmp_path)
    assert own(again) == [0.5, -1]
    found = again.own(JOB, KEY)
    assert found is not None
    assert found.dtype == np.float32


def test_an_accepted_result_leaves_it_as_it_is(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    put(box, 1, 0.5, -1)
    box.accept(result(1).nonce)
    assert own(box) == [0.5, -1]


def test_a_refused_result_has_not_changed_it(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    put(box, 1, 0.5, -1)
    box.accept(result(1).nonce)
    put(box, 2, 0.75, 3)
    box.refuse(result(2).nonce)
    assert own(box) == [0.5, -1]


def test_after_a_refusal_of_the_first_result_it_is_zero(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    put(box, 1, 0.5, -1)
    box.refuse(result(1).nonce)
    assert own(box) == [0, 0]


def test_a_refusal_keeps_what_a_later_result_did_that_was_accepted_before(tmp_path: Path) -> None:
    """Changes (1, 1), (2, 0) and (4, 8): the second one is accepted, the first one refused."""
    box = outbox(tmp_path)
    put(box, 1, 1, 1)
    put(box, 2, 3, 1)
    box.accept(result(2).nonce)
    put(box, 3, 7, 9)
    box.refuse(result(1).nonce)
    assert own(box) == [6, 8]


def test_a_personal_model_is_kept_whatever_becomes_of_the_update(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    one = Own(KEY, vector(1, 2), None)
    box.put(result(1), sequence=7, model_sha256=MODEL, residual=None, own=one)
    box.refuse(result(1).nonce)
    assert own(box) == [1, 2]


def test_a_refusal_takes_back_only_what_its_own_result_did(tmp_path: Path) -> None:
    """Changes (1, 1), (2, 0) and (4, 8); the first two are refused, the second one first."""
    box = outbox(tmp_path)
    put(box, 1, 1, 1)
    put(box, 2, 3, 1)
    put(box, 3, 7, 9)
    box.refuse(result(2).nonce)
    assert own(box) == [5, 9]
    box.refuse(result(1).nonce)
    assert own(box) == [4, 8]
    box.refuse(result(3).nonce)
    assert own(box) == [0, 0]


def test_under_another_key_it_means_nothing(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    put(box, 1, 0.5, -1)
    for other in ("feddyn", 0, SCHEMA), ("scaffold", 3, SCHEMA), ("scaffold", 0, b"t" * 32):
        assert box.own(JOB, own_key(*other)) is None
    put(box, 2, 2, 2, key=own_key("scaffold", 3, SCHEMA))
    assert own(box) is None
    box.refuse(result(1).nonce)  # of a vector that is gone
    assert box.own(JOB, own_key("scaffold", 3, SCHEMA)) is not None


def test_another_run_and_an_outdated_state_forget_it(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    put(box, 1, 0.5, -1)
    box.enter(JOB, b"run1")  # the same one
    assert own(box) == [0.5, -1]
    box.enter(JOB, b"run2")
    assert own(box) is None
    box.put(replace(result(2), run=b"run2"), sequence=7, model_sha256=MODEL, residual=None,
            own=Own(KEY, vector(1, 2), None))  # fmt: skip
    box.forget(JOB)
    assert own(box) is None


def test_a_result_that_changes_none_takes_back_none(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    put(box, 1, 0.5, -1)
    box.put(result(2), sequence=7, model_sha256=MODEL, residual=vector(0, 0))
    box.refuse(result(2).nonce)
    assert own(box) == [0.5, -1]


def test_a_full_disk_changes_neither_result_nor_vector(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    put(box, 1, *([1.0] * 100_000))
    (pages,) = box.database._db.execute("PRAGMA page_count").fetchone()
    box.database._db.execute(f"PRAGMA max_page_count = {pages}")
    large = replace(result(2), payload=bytes(10**6))
    two = Own(KEY, np.full(100_000, 2, np.float32), None)
    with pytest.raises(StorageError, match="the disk is full"):
        box.put(large, sequence=8, model_sha256=MODEL, residual=None, own=two)
    assert box.pending() == [result(1).nonce]
    assert own(box) == [1.0] * 100_000


def test_a_file_of_the_previous_release_is_upgraded(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    box.put(result(1), sequence=7, model_sha256=MODEL, residual=vector(1, 2))
    box.close()
    with sqlite3.connect(tmp_path / "outbox.sqlite3") as db:
        db.execute("DROP TABLE own")
        for column in ("own_key", "own_change"):
            db.execute(f"ALTER TABLE outbox DROP COLUMN {column}")
    again = outbox(tmp_path)
    put(again, 2, 3, 4)
    again.refuse(result(1).nonce)
    assert own(again) == [3, 4]


def test_vectors_fit_into_what_a_device_says_it_needs(tmp_path: Path) -> None:
    n = 200_000
    box = outbox(tmp_path)
    most = 0
    for nonce in range(1, 6):
        residual = np.full(n, nonce, np.float32)
        one = Own(KEY, residual, residual)
        box.put(result(nonce), sequence=7, model_sha256=MODEL, residual=residual, own=one)
        most = max(most, sum(path.stat().st_size for path in tmp_path.iterdir()))
        (box.accept if nonce % 2 else box.refuse)(result(nonce).nonce)
        most = max(most, sum(path.stat().st_size for path in tmp_path.iterdir()))
    assert most < needed_bytes(0, 0, n, keeps_vector=True)
    assert most > needed_bytes(0, 0, n)
