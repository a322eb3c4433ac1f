"""Whether everything a device learned is in the model exactly once."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np

from fedge.aggregator.state.registry import open_registry
from fedge.types import Vector
from firmware_sim.scenario.program import RECORDS
from firmware_sim.scenario.stage import Stage

_TOLERANCE = 1e-5  # relative to the largest number: float32 sums, in another order


def check_balance(
    stage: Stage, device: Path, rounds: Mapping[str, int], accepted: frozenset[str]
) -> Iterator[str]:
    """Add up what a fleet of one device learned, and report what does not add up.

    Error feedback makes this a law: the sum of all training is what went into the model plus what
    the residual still holds. An update that is lost, counted twice, or paired with the wrong
    residual breaks it.

    Args:
        stage: the stage, whose aggregator has finished.
        device: the device's folder.
        rounds: by nonce, the rounds of all updates that the device put into its outbox.
        accepted: nonces of the updates it knows were accepted.
    """
    with closing(sqlite3.connect(stage.aggregator_folder / "state" / "state.sqlite3")) as db:
        applied = db.execute("SELECT round, nonce, applied_in FROM update_").fetchall()
    if sorted(number for number, _, _ in applied) != list(range(1, stage.scenario.rounds + 1)):
        yield f"expected one update in each of {stage.scenario.rounds} rounds, found {len(applied)}"
    if len({version for _, _, version in applied} - {None}) != len(applied):
        yield "an update is missing from the model, or two are in one"
    for number, nonce, _ in applied:
        if rounds.get(nonce.hex()) != number:
            yield f"the update of round {number} is not one that the device made for it"
    lost = accepted - {nonce.hex() for _, nonce, _ in applied}
    if lost:
        yield f"{len(lost)} updates were accepted but are not there"
    yield from _sums(stage, device)


def _sums(stage: Stage, device: Path) -> Iterator[str]:
    trained = _sum(np.load(file) for file in sorted((device / RECORDS).glob("*.npy")))
    registry = open_registry(stage.aggregator_folder / "state")
    first = registry.artifact().parameters.astype(np.float64)
    last = registry.parameters(registry.latest()).astype(np.float64)
    n = trained.size
    held = (last - first)[:n] + _residual(device / "state" / "outbox.sqlite3", n)
    error = float(abs(held - trained).max())
    if error > _TOLERANCE * float(abs(trained).max()):
        yield f"what was trained and what was kept differ by {error:g}"


def _sum(deltas: Iterator[Vector]) -> Vector:
    total: Vector = np.sum([delta.astype(np.float64) for delta in deltas], axis=0)
    return total


def _residual(database: Path, n: int) -> Vector:
    with closing(sqlite3.connect(database)) as db:
        row = db.execute("SELECT residual FROM job").fetchone()
    return np.frombuffer(row[0], "<f4") if row and row[0] else np.zeros(n, np.float32)
