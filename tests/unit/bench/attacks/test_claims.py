"""What docs/attacks.md claims, on a small scale: 2 of 10 devices hostile, the default codec.

The figures in that document come from larger runs of the same code.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from fedge.bench.attacks.catalogue import UNTARGETED
from fedge.bench.attacks.run import run
from fedge.bench.attacks.setting import CLEAN, UNBOUNDED, Setting
from fedge.data import Dataset, write_npz

RECOMMENDED = "arc:f=2+smea:f=2/fedavgm:lr=1,beta=0.6"
N_CLASSES = 4


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Clouds of points around four centres, 12 numbers each."""
    rng = np.random.default_rng(0)
    y = rng.integers(N_CLASSES, size=800)
    centres = 3 * rng.normal(size=(N_CLASSES, 12)) * (np.arange(12) < 8)
    path: Path = tmp_path_factory.mktemp("blobs") / "blobs.npz"
    x = centres[y] + rng.normal(scale=1.5, size=(800, 12))
    write_npz(path, Dataset({"x": x.astype(np.float32)}, y))
    return str(path)


@cache
def accuracy(task: str, rule: str, attack: str) -> float:
    setting = Setting(task=task, codec="default", rule=rule, attack=attack, rounds=20, lr=0.2)
    return run(setting).accuracy


@pytest.mark.parametrize("attack", [name for name in UNTARGETED if name != CLEAN])
def test_the_recommended_rule_ends_within_two_points_of_no_attack(blobs: str, attack: str) -> None:
    best = max(accuracy(blobs, rule, CLEAN) for rule in (RECOMMENDED, "mean"))
    assert accuracy(blobs, RECOMMENDED, attack) >= best - 0.02


@pytest.mark.parametrize("attack", ["nan", "inf", "x10", "replacement", "heavy"])
def test_the_default_survives_as_if_nothing_had_been(blobs: str, attack: str) -> None:
    assert accuracy(blobs, "mean", attack) >= accuracy(blobs, "mean", CLEAN) - 0.02


def test_ten_times_the_flipped_mean_wrecks_a_mean_without_bounds_and_quarantine(blobs: str) -> None:
    assert accuracy(blobs, UNBOUNDED, "x10") < 0.6


def test_one_device_with_a_huge_claim_decides_alone_without_the_cap(blobs: str) -> None:
    assert accuracy(blobs, UNBOUNDED, "heavy") < 0.6
