"""An aggregator that dies and comes back: nothing is lost, nothing counts twice."""

import json
import logging
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedge.aggregator import open_registry
from fedge.aggregator.state.folder import StateFolder
from fedge.aggregator.state.records import (
    JobRecord,
    ModelRecord,
    RoundRecord,
    Tally,
    UpdateRecord,
)
from fedge.aggregator.state.store import Store
from fedge.errors import ConfigError, StorageError
from fedge.messages import Facts, RoundManifest, RoundState, Topics
from fedge.types import DeviceId, JobId, RoundId
from tests.support.aggregator_by_hand import Bench
from tests.support.laws import check_laws
from tests.support.models import softmax
from tests.support.plain import plain_models

JOB = JobId("default")
QUIET = Tally(refusals={})
FACTS = Facts(n_steps=3, loss=0.5)


def undisturbed(folder: Path, **settings: object) -> bytes:
    """The last model of a job that nobody killed."""
    folder.mkdir()
    bench = Bench(folder, **settings)  # type: ignore[arg-type] # no artifact among them
    bench.add("ann", "bob", facts=FACTS)
    bench.settle()
    bench.aggregator.close()
    return last_model(bench)


def last_model(bench: Bench) -> bytes:
    """Its bytes, those of what devices hold of it, and what strategy and algorithm remember."""
    registry = open_registry(bench.folder / "state")
    latest = registry.latest()
    folder = StateFolder(bench.folder / "state")
    memory = b"" if latest.memory is None else folder.read_memory(latest.memory)
    server = b"" if latest.server is None else folder.read_server(latest.server)
    held = folder.read_held(latest).tobytes()
    return registry.parameters(latest).tobytes() + held + memory + server


@pytest.mark.parametrize(
    ("strategy", "downlink", "algorithm"),
    [
        ("fedavg", "topk:0.1/sign", "fedavg"),
        ("fedadam:lr=0.05", "int8", "fedavg"),
        ("fedavg", "none", "fedavg"),
        ("fedadam:lr=0.05", "topk:0.1/sign", "scaffold"),
        ("fedavg", "none", "scaffold"),
        ("fedavg", "int8", "feddyn"),
        ("fedavgm", "int8", "fednova"),
    ],
)
def test_killed_after_any_step_it_makes_the_same_model(
    tmp_path: Path, strategy: str, downlink: str, algorithm: str
) -> None:
    settings = {
        "rounds": 6, "wait_for": 2, "quorum": 2, "strategy": strategy,
        "downlink_codec": downlink, "artifact": softmax(n_in=100), "algorithm": algorithm,
    }  # fmt: skip
    want = undisturbed(tmp_path / "calm", **settings)
    (tmp_path / "killed").mkdir()
    bench = Bench(tmp_path / "killed", **settings)  # type: ignore[arg-type] # no artifact
    ann, bob = bench.add("ann", "bob", facts=FACTS)
    dice = np.random.default_rng(0)
    for _ in range(200):
        bench.settle(n_steps=int(dice.integers(1, 3)))
        if ann.has_finished() and bob.has_finished():
            break
        bench.kill()
        check_laws(bench.folder / "state")
        bench.begin()
        bench.time.now_s += 1  # so that devices send again
    assert bench.n_starts > 4
    bench.aggregator.close()
    assert last_model(bench) == want
    check_told(bench)
    with sqlite3.connect(bench.folder / "state" / "state.sqlite3") as db:
        assert db.execute("SELECT count(*), count(applied_in) FROM update_").fetchone() == (12, 12)


def check_told(bench: Bench) -> None:
    """A round was announced with one model only, whichever process did it."""
    topic = Topics("default").round("default")
    told = [RoundManifest.from_bytes(s.payload) for s in bench.bus.log if s.topic == topic]
    is_open = RoundState.OPEN
    ways = {
        (one.round, one.model, one.catch_up, one.server) for one in told if one.state is is_open
    }
    assert len(ways) == 6


def test_a_restart_goes_on_with_the_same_round_and_what_it_had(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=1, wait_for=1, quorum=2)
    (ann,) = bench.add("ann")
    bench.settle()
    before = ann.manifest
    bench.kill()
    bench.begin()
    bench.settle()
    assert ann.manifest == before
    bench.add("bob")
    bench.settle()
    assert ann.has_finished()
    (event,) = [e for e in _events(tmp_path) if e["event"] == "round"]
    assert (event["devices_accepted"], event["devices_expected"]) == (2, 2)


def test_a_restart_waits_for_those_who_were_there_before(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=1, wait_for=2, quorum=1, deadline_s=30)
    ann, mute = bench.add("ann", "mute")
    mute.send = lambda: None  # type: ignore[method-assign] # it only listens
    bench.settle()
    bench.kill()
    bench.bus.retained.clear()  # the broker was restarted as well: it knows no births
    bench.begin()
    bench.settle()
    assert not ann.has_finished()
    bench.wait(31)
    assert ann.has_finished()


def test_a_finished_job_says_so_again_and_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench(tmp_path, rounds=1)
    bench.add("ann")
    bench.settle()
    bench.aggregator.close()
    bench.bus.retained.clear()  # a broker that has come back empty
    late = bench.add("late")[0]
    again = bench.begin()
    assert again.run()["is_finished"]
    assert "job default is finished; the devices will be told once more" in caplog.text
    bench.settle_devices()
    assert late.has_finished()
    assert len([e for e in _events(tmp_path) if e["event"] == "finished"]) == 1


def test_more_rounds_continue_a_finished_job(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=1)
    (ann,) = bench.add("ann")
    bench.settle()
    bench.aggregator.close()
    bench.settings["rounds"] = 2
    bench.begin()
    bench.settle()
    assert ann.accepted == [1, 2]
    assert ann.has_finished()


def test_another_artifact_or_job_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=1)
    bench.aggregator.close()
    bench.settings["job"] = "other"
    with pytest.raises(ConfigError, match="belongs to job 'default'"):
        bench.begin()
    bench.settings["job"] = "default"
    softmax(seed=9).save(tmp_path / "model.fedge")
    with pytest.raises(ConfigError, match=r"created with another artifact .* or a new --state-dir"):
        bench.begin()


def test_two_aggregators_cannot_share_a_directory(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(StorageError, match="in use by another running aggregator"):
        bench.begin()


def test_a_torn_event_line_is_mended_from_the_database(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=3)
    bench.add("ann")
    bench.settle()
    bench.aggregator.close()
    path = tmp_path / "events.jsonl"
    whole = _events(tmp_path)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:4])[:-5])
    bench.begin()
    assert [e["event"] for e in whole] == [*["opened", "round"] * 3, "finished"]
    assert _events(tmp_path) == [*whole[:3], whole[3], whole[5]]


def test_a_damaged_model_file_is_named(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=2)
    bench.aggregator.close()
    (model,) = (tmp_path / "state" / "models").glob("*.f32")
    model.write_bytes(b"rubbish!")
    with pytest.raises(StorageError, match="is damaged"):
        bench.begin()


def _events(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


ZERO = ModelRecord(
    version=0, round=None, parent=None, sha256=bytes(32), held=bytes(32), memory=None,
    strategy="fedavg",
)  # fmt: skip
OPENED = RoundRecord(
    round=RoundId(1), kind="training", manifest=b"m", expected=frozenset({DeviceId("ann")}),
    quorum=1, opened_at="2026-01-31T00:00:00.000+00:00",
)  # fmt: skip


def scenario(store: Store, folder: StateFolder) -> None:
    """A round from begin to end, as the aggregator writes it."""
    parents = [folder.put_model(np.full(3, value, np.float32)) for value in (1.0, 2.0)]
    zero = ModelRecord(
        version=0,
        round=None,
        parent=None,
        sha256=parents[0],
        held=parents[0],
        memory=None,
        strategy="fedavg",
    )
    job = JobRecord(fleet="default", job=JOB, run=b"run1", artifact=bytes(32), sequence=1)
    store.begin(job, zero)
    store.open_round(OPENED, 2)
    updates = [
        UpdateRecord(
            round=RoundId(1), device=DeviceId(name), nonce=bytes(8), n_examples=1, payload=b"p"
        )
        for name in ("ann", "bob")
    ]
    store.accept(updates, Tally(uplink_bytes=5, refusals={"late": 1}))
    one = ModelRecord(
        version=1,
        round=RoundId(1),
        parent=parents[0],
        sha256=parents[1],
        held=parents[1],
        memory=None,
        strategy="fedavg",
    )
    store.close_round(one, {"event": "round", "round": 1}, QUIET, keep_broadcasts=9)


def test_the_database_keeps_its_laws_at_every_statement(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    folder.make()
    store = Store(folder.path, timestamp=lambda: "now")
    copies: list[Path] = []

    def copy(_statement: str) -> None:
        target = tmp_path / f"copy-{len(copies)}"
        shutil.copytree(folder.path, target)
        copies.append(target)

    store._db.set_trace_callback(copy)
    scenario(store, folder)
    store._db.set_trace_callback(None)
    copy("the end")
    seen = set()
    for path in copies:
        with sqlite3.connect(path / "state.sqlite3") as db:
            seen.add(
                db.execute(
                    "SELECT (SELECT count(*) FROM model), (SELECT count(*) FROM round), "
                    "(SELECT count(*) FROM update_), (SELECT count(applied_in) FROM update_)"
                ).fetchone()
            )
        check_laws(path)
    # Nothing but whole transactions is ever seen: begun, opened, accepted, closed.
    assert seen == {(0, 0, 0, 0), (1, 0, 0, 0), (1, 1, 0, 0), (1, 1, 2, 0), (2, 1, 2, 2)}


def test_the_same_device_cannot_count_twice_in_a_round(tmp_path: Path) -> None:
    """Whoever lets a second update of it through is stopped before there is a model of it."""
    folder = StateFolder(tmp_path)
    folder.make()
    store = Store(tmp_path, timestamp=lambda: "now")
    scenario(store, folder)
    again = UpdateRecord(
        round=RoundId(1), device=DeviceId("ann"), nonce=b"another!", n_examples=1, payload=b"p"
    )
    store.accept([again], QUIET)
    two = replace(store.latest_model(), version=2, round=None, parent=None)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        store.close_round(two, {"event": "round", "round": 2}, QUIET, keep_broadcasts=9)
    assert store.latest_model().version == 1
    assert store.nonce(RoundId(1), DeviceId("ann")) == bytes(8)


def test_payloads_come_back_from_any_group_and_in_any_order(tmp_path: Path) -> None:
    """Of no byte, of one, and more than a group holds; taken in three commits."""
    folder = StateFolder(tmp_path)
    folder.make()
    store = Store(tmp_path, timestamp=lambda: "now")
    store.begin(JobRecord(fleet="f", job=JOB, run=b"run1", artifact=bytes(32), sequence=1), ZERO)
    store.open_round(OPENED, 2)
    sizes = (0, 1, 2**20 - 1, 2, 2**20 + 5, 3, 700_000, 700_000, 4)
    payloads = {DeviceId(f"d{(5 * n) % 9}"): bytes([n]) * size for n, size in enumerate(sizes)}
    updates = [
        UpdateRecord(round=RoundId(1), device=name, nonce=bytes(8), n_examples=1, payload=payload)
        for name, payload in payloads.items()
    ]
    for first, last in ((0, 6), (6, 7), (7, 9)):
        store.accept(updates[first:last], QUIET)
    cohort = store.cohort(RoundId(1))
    assert [one.device for one in cohort] == sorted(payloads)
    assert list(store.payloads(cohort)) == [payloads[one] for one in sorted(payloads)]
    assert list(store.payloads(cohort[::-2])) == [payloads[one.device] for one in cohort[::-2]]


def _full(db: sqlite3.Connection) -> None:
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")


def _read_only(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA query_only = 1")


@pytest.mark.parametrize(
    ("spoil", "sentence"), [(_full, "the disk is full"), (_read_only, "readonly")]
)
def test_a_disk_that_takes_no_more_is_one_sentence_and_loses_nothing(
    tmp_path: Path, spoil: Callable[[sqlite3.Connection], None], sentence: str
) -> None:
    bench = Bench(tmp_path, artifact=softmax(n_in=4000), rounds=1, wait_for=1, quorum=2)
    bench.add("ann")
    bench.settle()
    spoil(bench.aggregator._on.store._db)
    (bob,) = bench.add("bob")
    with pytest.raises(StorageError, match=sentence):
        bench.settle()
    bench.kill()
    bench.settle_devices()
    assert bob.replies == []
    check_laws(tmp_path / "state")
    with sqlite3.connect(tmp_path / "state" / "state.sqlite3") as db:
        assert db.execute("SELECT device FROM update_").fetchall() == [("ann",)]


@pytest.mark.parametrize("found", [1, 2, 3])
def test_a_directory_of_an_earlier_format_is_brought_up_to_date_and_goes_on(
    tmp_path: Path, found: int
) -> None:
    """In the middle of the second round, with an update accepted; readers take any format."""
    bench = Bench(tmp_path, rounds=2, wait_for=2, quorum=2)
    ann, bob = bench.add("ann", "bob")
    send = bob.send

    def once() -> None:
        if bob.manifest is not None and bob.manifest.round == 1:
            send()

    bob.send = once  # type: ignore[method-assign] # of round 2 it only hears
    bench.settle()
    bench.kill()
    rows = updates_in(tmp_path / "state")
    assert [row[:2] for row in rows] == [(1, "ann"), (1, "bob"), (2, "ann")]
    make_format_3(tmp_path / "state")
    if found < 3:
        make_format_2(tmp_path / "state")
    if found < 2:
        make_format_1(tmp_path / "state")
    assert updates_in(tmp_path / "state") == rows
    assert [model.version for model in open_registry(tmp_path / "state").models()] == [0, 1]
    bench.begin()
    assert updates_in(tmp_path / "state") == rows
    bob.send = send  # type: ignore[method-assign]
    bench.time.now_s += 1
    bench.settle()
    assert ann.accepted == bob.accepted == [1, 2]
    check_laws(tmp_path / "state")
    registry = open_registry(tmp_path / "state")
    want = plain_models(bench.artifact, [["ann", "bob"]] * 2)[-1][0]
    assert registry.parameters(registry.latest()).tobytes() == want.astype("<f4").tobytes()
    bench.aggregator.close()


def test_a_directory_of_a_later_format_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.aggregator.close()
    with sqlite3.connect(tmp_path / "state" / "state.sqlite3") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match="expected format 4, found 99"):
        bench.begin()
    with pytest.raises(StorageError, match="expected format 4, found 99"):
        open_registry(tmp_path / "state").models()


def updates_in(state: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(state / "state.sqlite3") as db:
        return db.execute(
            "SELECT round, device, job, nonce, n_examples, size_bytes, payload, accepted_at, "
            "applied_in FROM update_ ORDER BY round, device"
        ).fetchall()


def make_format_3(state: Path) -> None:
    """What the release before had: no word of how an update was trained."""
    with sqlite3.connect(state / "state.sqlite3") as db:
        for table in ("taken", "applied"):
            for column in ("n_steps", "loss"):
                db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        db.execute("PRAGMA user_version = 3")


def make_format_2(state: Path) -> None:
    """What the one before that had: one table of updates, each with its payload."""
    with sqlite3.connect(state / "state.sqlite3") as db:
        db.execute(
            "CREATE TABLE former (job TEXT NOT NULL, round INTEGER NOT NULL REFERENCES round, "
            "device TEXT NOT NULL, nonce BLOB NOT NULL, n_examples INTEGER NOT NULL, "
            "size_bytes INTEGER NOT NULL, payload BLOB, accepted_at TEXT NOT NULL, "
            "applied_in INTEGER REFERENCES model, PRIMARY KEY (job, round, device)) STRICT"
        )
        db.execute("INSERT INTO former SELECT * FROM update_")
        db.execute("DROP VIEW update_")
        for table in ("applied", "taken", "payload_group"):
            db.execute(f"DROP TABLE {table}")
        db.execute("ALTER TABLE former RENAME TO update_")
        db.execute("CREATE INDEX update_of_round ON update_ (round, device)")
        db.execute("PRAGMA user_version = 2")


def make_format_1(state: Path) -> None:
    """The one before that: no numbers without a model, no time spent, nobody silent."""
    with sqlite3.connect(state / "state.sqlite3") as db:
        db.execute("ALTER TABLE job DROP COLUMN last_number")
        db.execute("ALTER TABLE round DROP COLUMN spent_s")
        db.execute("DROP TABLE silent")
        db.execute("PRAGMA user_version = 1")
