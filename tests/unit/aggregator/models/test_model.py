"""A stored model under the strategy of now: what is remembered belongs to the optimizer."""

from pathlib import Path

import numpy as np
import pytest

from fedge.aggregator.models.model import load_model
from fedge.aggregator.state.folder import StateFolder
from fedge.aggregator.state.records import ModelRecord
from fedge.strategies import get
from tests.support.aggregator_by_hand import Bench
from tests.support.sent_values import events, moved, sending

PARAMETERS = np.array([1, 2, 9], np.float32)  # the last one is not trained
STORED = np.array([0.5, -0.5, 0.25, 4.0], "<f4").tobytes()  # momentum, then variance


def stored(folder: StateFolder, strategy: str) -> ModelRecord:
    """A model as every release has stored it: vectors of float32 by the order of their names."""
    folder.make()
    sha256 = folder.put_model(PARAMETERS)
    return ModelRecord(
        version=3,
        round=None,
        parent=None,
        sha256=sha256,
        held=sha256,
        memory=folder.put_memory(STORED),
        strategy=strategy,
    )


@pytest.mark.parametrize("before", ["fedadam:lr=0.1", "mean/fedadam", "nnm+krum:f=1/fedadam"])
@pytest.mark.parametrize("now", ["fedadam:lr=0.1", "mean/fedadam:lr=0.01", "fedadam:0.2"])
def test_an_optimizer_goes_on_from_its_memory_whatever_the_rule_is(
    tmp_path: Path, before: str, now: str
) -> None:
    folder = StateFolder(tmp_path)
    model = load_model(folder, stored(folder, before), 2, get(now), now)
    assert model.state.memory["momentum"].tolist() == [0.5, -0.5]
    assert model.state.memory["variance"].tolist() == [0.25, 4.0]
    assert model.state.parameters.tolist() == [1, 2]


@pytest.mark.parametrize("before", ["fedyogi:lr=0.1", "mean/fedyogi", "mean"])
def test_another_optimizer_begins_anew(tmp_path: Path, before: str) -> None:
    folder = StateFolder(tmp_path)
    model = load_model(folder, stored(folder, before), 2, get("fedadam:tau=2"), "fedadam:tau=2")
    assert model.state.memory["momentum"].tolist() == [0, 0]
    assert model.state.memory["variance"].tolist() == [4, 4]


def play(folder: Path, strategy: str, *, rounds: int) -> Bench:
    """A job from where the folder stands to so many rounds in all."""
    folder.mkdir(exist_ok=True)
    bench = Bench(folder, quorum=3, wait_for=3, strategy=strategy, rounds=rounds)
    bench.add("ann", "bob", "cid", payload=sending({"cid": 1.5}))
    bench.settle(n_steps=200)
    return bench


def test_naming_the_rule_in_the_middle_of_a_job_changes_no_bit(tmp_path: Path) -> None:
    whole = play(tmp_path / "whole", "fedadam:lr=0.01", rounds=3)
    play(tmp_path / "parts", "fedadam:lr=0.01", rounds=1).aggregator.close()
    parts = play(tmp_path / "parts", "mean/fedadam:lr=0.01", rounds=3)
    assert len(events(parts)) == 3
    assert moved(parts).tobytes() == moved(whole).tobytes()
