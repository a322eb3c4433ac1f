"""What survives a power cut."""

import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedge import codecs
from fedge.device.state.answers import Answer
from fedge.device.state.outbox import Outbox
from fedge.errors import ConfigError, StorageError
from fedge.types import JobId, RoundId, Vector
from tests.support.outboxes import JOB, MODEL, RUN, SCHEMA, outbox, result, vector


def encoded(delta: Vector, residual: Vector) -> bytes:
    """A payload with the larger half of the sum; the other half stays in the residual."""
    return codecs.get("topk:0.5/float32").encode(delta, residual, np.random.default_rng(0))


def test_a_result_and_its_residual_survive_a_restart(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    box.put(result(), sequence=7, model_sha256=MODEL, residual=vector(0.5, -1))
    box.close()
    again = outbox(tmp_path)
    assert again.pending() == [result().nonce]
    assert again.result(result().nonce) == result()
    assert again.answered(JOB) == Answer(RoundId(1), MODEL)
    residual = again.residual(JOB, SCHEMA)
    assert residual is not None
    assert residual.dtype == np.float32
    np.testing.assert_array_equal(residual, vector(0.5, -1))


def test_a_file_of_the_previous_release_is_upgraded(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    box.put(result(), sequence=7, model_sha256=MODEL, residual=vector(0.5, -1))
    box.close()
    with sqlite3.connect(next(tmp_path.glob("**/*.sqlite3"))) as db:
        db.execute("ALTER TABLE job DROP COLUMN sequence")
    again = outbox(tmp_path)
    assert again.pending() == [result().nonce]
    assert again.sequence(JOB) == -1
    assert again.holds(JOB, RoundId(1))
    assert not again.holds(JOB, RoundId(2))
    again.close()
    assert outbox(tmp_path).answered(JOB) == Answer(RoundId(1), MODEL)


def test_an_accepted_result_is_removed_and_the_residual_stays(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    box.put(result(), sequence=7, model_sha256=MODEL, residual=vector(0.5, -1))
    box.accept(result().nonce)
    assert box.pending() == []
    assert box.answered(JOB) == Answer(RoundId(1), MODEL)
    np.testing.assert_array_equal(box.residual(JOB, SCHEMA), vector(0.5, -1))


def test_a_refused_result_goes_back_into_the_residual(tmp_path: Path) -> None:
    box, residual = outbox(tmp_path), vector(0, 0, 0, 0)
    payload = encoded(vector(4, 1, -8, 2), residual)
    np.testing.assert_array_equal(residual, vector(0, 1, 0, 2))  # 4 and -8 are in the payload
    box.put(result(payload=payload), sequence=7, model_sha256=MODEL, residual=residual)
    assert box.refuse(result().nonce)
    assert box.pending() == []
    np.testing.assert_array_equal(box.residual(JOB, SCHEMA), vector(4, 1, -8, 2))


def test_a_refusal_after_the_next_round_loses_nothing_either(tmp_path: Path) -> None:
    box, residual = outbox(tmp_path), vector(0, 0, 0, 0)
    first = encoded(vector(4, 1, -8, 2), residual)
    box.put(result(1, first), sequence=7, model_sha256=MODEL, residual=residual)
    second = encoded(vector(0, 2, 0, 2), residual)  # sends the remaining 3 and 4
    box.put(result(2, second), sequence=7, model_sha256=MODEL, residual=residual)
    assert box.refuse(result(1).nonce)
    box.accept(result(2).nonce)
    np.testing.assert_array_equal(box.residual(JOB, SCHEMA), vector(4, 0, -8, 0))


def test_a_refused_result_without_error_feedback_leaves_the_residual_alone(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    box.put(result(1), sequence=7, model_sha256=MODEL, residual=vector(1, 2))
    box.put(result(2, has_feedback=False), sequence=7, model_sha256=MODEL, residual=None)
    assert not box.refuse(result(2).nonce)
    np.testing.assert_array_equal(box.residual(JOB, SCHEMA), vector(1, 2))


def test_a_residual_of_another_schema_is_not_returned_and_can_be_dropped(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    box.put(result(), sequence=7, model_sha256=MODEL, residual=vector(1, 2))
    assert box.residual(JOB, b"t" * 32) is None
    assert not box.drop_residual(JOB, SCHEMA)
    assert box.drop_residual(JOB, b"t" * 32)
    assert box.residual(JOB, SCHEMA) is None
    assert not box.refuse(result().nonce)  # nothing to return it to


def test_entering_another_run_removes_everything_of_the_previous_one(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    other = replace(result(9), job=JobId("other"))
    box.put(other, sequence=7, model_sha256=MODEL, residual=vector(5))
    box.put(result(), sequence=7, model_sha256=MODEL, residual=vector(1, 2))
    box.enter(JOB, RUN)  # the same one: nothing happens
    assert box.pending() == [other.nonce, result().nonce]
    assert box.residual(JOB, SCHEMA) is not None
    box.enter(JOB, b"run2")
    assert box.run(JOB) == b"run2"
    assert box.pending() == [other.nonce]
    assert box.answered(JOB) is None
    assert box.residual(JOB, SCHEMA) is None
    assert box.residual(other.job, SCHEMA) is not None


def test_outdated_results_are_forgotten_but_the_last_answer_is_not(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    other = replace(result(9), job=JobId("other"))
    box.put(other, sequence=7, model_sha256=MODEL, residual=vector(5))
    box.put(result(), sequence=7, model_sha256=MODEL, residual=vector(1, 2))
    answered = box.answered(JOB)
    box.forget(JOB)
    assert box.pending() == [other.nonce]
    assert box.residual(JOB, SCHEMA) is None
    assert box.residual(other.job, SCHEMA) is not None
    assert (box.run(JOB), box.answered(JOB)) == (RUN, answered)
    assert answered is not None


def test_an_unknown_job_has_no_run(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    assert box.run(JOB) is None
    box.enter(JOB, RUN)
    assert box.run(JOB) == RUN


def test_damage_is_counted_across_restarts(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    box.put(result(), sequence=7, model_sha256=MODEL, residual=None)
    assert [box.count_damage(result().nonce) for _ in range(2)] == [1, 2]
    box.close()
    assert outbox(tmp_path).count_damage(result().nonce) == 3


def test_an_outbox_of_another_device_is_refused_by_name(tmp_path: Path) -> None:
    outbox(tmp_path).close()
    with pytest.raises(ConfigError, match="belongs to device 'pi-3' of fleet 'home'"):
        Outbox(tmp_path / "outbox.sqlite3", fleet="home", device="pi-4")


def test_a_full_disk_is_reported_in_one_sentence_and_changes_nothing(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    box.put(result(1), sequence=7, model_sha256=MODEL, residual=vector(1, 2))
    (pages,) = box.database._db.execute("PRAGMA page_count").fetchone()
    box.database._db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite then reports a full disk
    with pytest.raises(StorageError, match="the disk is full"):
        box.put(result(2, bytes(100_000)), sequence=8, model_sha256=MODEL, residual=vector(3, 4))
    assert box.pending() == [result(1).nonce]
    np.testing.assert_array_equal(box.residual(JOB, SCHEMA), vector(1, 2))
    assert box.answered(JOB) == Answer(RoundId(1), MODEL)


def test_a_damaged_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "outbox.sqlite3").write_bytes(b"this is no database " * 100)
    with pytest.raises(StorageError, match="not a database"):
        outbox(tmp_path)


_WRITER = """
import sys
from pathlib import Path
import numpy as np
from tests.unit.device.state.test_outbox import MODEL, outbox, result
box = outbox(Path(sys.argv[1]))
for nonce in range(1, 10**6):
    residual = np.full(20_000, nonce, np.float32)
    one = result(nonce, payload=bytes(nonce))
    box.put(one, sequence=nonce, model_sha256=MODEL, residual=residual)
    print(nonce, flush=True)
"""


def test_a_kill_at_any_instant_never_separates_a_result_from_its_residual(
    tmp_path: Path,
) -> None:
    for n_lines in (1, 4, 9):
        folder = tmp_path / str(n_lines)
        folder.mkdir()
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(n_lines)]
        writer.kill()
        writer.communicate()
        box = outbox(folder)
        stored = [int.from_bytes(nonce, "big") for nonce in box.pending()]
        residual = box.residual(JOB, SCHEMA)
        assert stored == list(range(1, len(stored) + 1))
        assert set(said) <= set(stored)
        assert residual is not None
        np.testing.assert_array_equal(residual, np.full(20_000, stored[-1], np.float32))
        answered = box.answered(JOB)
        assert answered is not None
        assert answered.round == stored[-1]


def test_commits_are_flushed_to_the_disk(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    assert box.database._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    with sqlite3.connect(tmp_path / "outbox.sqlite3") as reader:
        assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    reader.close()
