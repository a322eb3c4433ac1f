"""Cutting a data set into devices' own parts."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedge.data import Dataset
from fedge.errors import DataError
from fedge.simulation.data import digits, part

_NO_SEMAPHORE = """
import _multiprocessing
def refuse(*_, **__):
    raise PermissionError(13, "Permission denied")
_multiprocessing.SemLock = refuse
"""


def a_dataset(n: int, *, client: bool = False, is_test: bool = False) -> Dataset:
    """Example i has the feature i and the class i mod 3."""
    return Dataset(
        inputs={"x": np.arange(n, dtype=np.float32).reshape(n, 1)},
        targets=np.arange(n) % 3,
        client=np.arange(n) % 5 if client else None,
        is_test=np.arange(n) % 4 == 0 if is_test else None,
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(0, 100), st.sampled_from([0.1, 1.0, 100.0]))
def test_every_example_goes_to_one_device_or_to_the_test(
    n_devices: int, seed: int, alpha: float
) -> None:
    parts = part(a_dataset(200), n_devices=n_devices, alpha=alpha, seed=seed)
    seen = [own.inputs["x"] for own in parts.devices.values()] + [parts.test.inputs["x"]]
    assert sorted(np.concatenate(seen).ravel()) == list(range(200))
    assert len(parts.devices) == n_devices
    assert parts.test.n_examples == 40  # a fifth


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    def first(seed: int) -> bytes:
        parts = part(a_dataset(200), n_devices=4, alpha=0.3, seed=seed)
        return parts.devices["device-1"].inputs["x"].tobytes()

    assert first(3) == first(3) != first(4)


def test_natural_clients_stay_whole_and_keep_their_own_test_examples_out() -> None:
    parts = part(a_dataset(60, client=True, is_test=True), n_devices=2, alpha=1, seed=0)
    assert list(parts.devices) == ["client-0", "client-1"]
    own = parts.devices["client-1"].inputs["x"].ravel()
    assert list(own) == [i for i in range(60) if i % 5 == 1 and i % 4]
    assert list(parts.test.inputs["x"].ravel()) == list(range(0, 60, 4))


def test_small_alpha_makes_devices_unlike_each_other() -> None:
    def largest_share(alpha: float) -> float:
        parts = part(digits(), n_devices=8, alpha=alpha, seed=0)
        shares = [
            np.bincount(own.targets, minlength=10).max() / own.n_examples
            for own in parts.devices.values()
        ]
        return float(np.mean(shares))

    assert largest_share(0.1) > 0.4
    assert largest_share(1000.0) < 0.2  # even: one class in ten


def test_more_devices_than_clients_is_refused_by_number() -> None:
    with pytest.raises(DataError, match="at least 9, found 5"):
        part(a_dataset(60, client=True), n_devices=9, alpha=1, seed=0)


def test_a_split_that_cannot_be_is_refused_with_what_to_do() -> None:
    with pytest.raises(DataError, match="fewer devices"):
        part(a_dataset(12), n_devices=40, alpha=0.1, seed=0)


def test_the_digits_are_the_1797_of_scikit_learn_scaled_to_one() -> None:
    data = digits()
    assert data.inputs["x"].shape == (1797, 64)
    assert data.inputs["x"].dtype == np.float32
    assert (data.inputs["x"].min(), data.inputs["x"].max()) == (0.0, 1.0)
    assert list(np.unique(data.targets)) == list(range(10))


def test_no_shared_memory_is_no_news(tmp_path: Path) -> None:
    """Where /dev/shm cannot be written, as in a bare root, joblib warns at its import."""
    (tmp_path / "sitecustomize.py").write_text(_NO_SEMAPHORE)
    code = "from fedge.simulation.data import digits; print(digits().targets.size)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("1797\n", "")
