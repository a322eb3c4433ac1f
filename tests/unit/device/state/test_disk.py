"""The disk space a device needs: the formula, the database's share of it, and the refusals."""

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fedge.device.state.disk import LOG_BYTES, check_artifact, check_start, needed_bytes
from fedge.device.state.outbox import Outbox, Result
from fedge.errors import StorageError
from fedge.messages import RoundKind
from fedge.types import JobId, RoundId
from tests.support import models

JOB = JobId("digits")


def sizes(folder: Path) -> Counter[str]:
    return Counter({path.name: path.stat().st_size for path in folder.iterdir()})


@pytest.mark.parametrize(("n", "payload_bytes"), [(10_000, 600), (55_000, 700), (250_000, 10**6)])
def test_the_database_and_its_log_stay_within_their_share_of_the_formula(
    tmp_path: Path, n: int, payload_bytes: int
) -> None:
    box = Outbox(tmp_path / "outbox.sqlite3", fleet="home", device="pi-3")
    box.enter(JOB, b"run1")
    largest: Counter[str] = Counter()
    for number in range(1, 41):
        result = Result(
            job=JOB, run=b"run1", round=RoundId(number), nonce=number.to_bytes(8), parts=1,
            kind=RoundKind.TRAINING, schema=bytes(32), has_feedback=True,
            payload=os.urandom(payload_bytes),
        )  # fmt: skip
        box.put(result, sequence=1, model_sha256=bytes(32), residual=np.full(n, number, np.float32))
        largest |= sizes(tmp_path)
        box.accept(result.nonce)
        largest |= sizes(tmp_path)
    residual, database = box.residual(JOB, bytes(32)), largest["outbox.sqlite3"]
    box.close()
    assert residual is not None
    assert (residual == 40).all()
    both = payload_bytes + 4 * n
    assert database < 1.03 * both + 32_768
    assert largest["outbox.sqlite3-wal"] < LOG_BYTES + 1.03 * both + 32_768
    # 512 KiB, no artifact and no models: the rest is the database's.
    assert sum(largest.values()) < needed_bytes(0, 0, n) + 2 * 1.03 * payload_bytes


def test_the_disk_space_a_model_needs_by_hand() -> None:
    """The digits of the demo: 55 210 parameters, all trained, in an artifact of 234 kB."""
    residual = 4 * 55_210 * 65 // 64
    assert needed_bytes(234_000, 55_210, 55_210) == (
        512 * 1024 + 234_000 + 3 * 220_840 + 2 * residual
    )


def _with_free(monkeypatch: pytest.MonkeyPatch, free_bytes: int) -> None:
    usage = shutil._ntuple_diskusage(10**9, 0, free_bytes)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)


def test_a_disk_that_is_too_small_is_refused_with_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_free(monkeypatch, 2**19 - 1)
    with pytest.raises(StorageError) as caught:
        check_start(tmp_path)
    assert str(caught.value) == (
        f"the disk of {tmp_path} is too small: a device needs 0.50 MiB, and there are 0.50 MiB, "
        "0.00 MiB of them in use by the device already; make room, or give it another --state-dir"
    )
    _with_free(monkeypatch, 2**19)
    check_start(tmp_path)


def test_space_the_device_already_uses_counts_as_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = models.linear(n_in=100, n_out=1000)
    needed = needed_bytes(len(artifact.to_bytes()), artifact.n_params, artifact.n_trainable)
    _with_free(monkeypatch, needed - 8192)
    with pytest.raises(StorageError, match=r"a model of 101000 parameters needs 2\.8\d MiB"):
        check_artifact(tmp_path, artifact, len(artifact.to_bytes()))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "one").write_bytes(bytes(8192))
    check_artifact(tmp_path, artifact, len(artifact.to_bytes()))
