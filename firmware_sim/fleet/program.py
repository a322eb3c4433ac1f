"""The program of every device in a fleet: `fedge device`, with a record of what it encodes.

It is copied to the board and needs only fedge there, whose public names it wraps:

    python3 program.py RECORDS device ...                train as usual, and write records
    python3 program.py RECORDS --play OTHER device ...   take the deltas from OTHER's records
                                                         instead of training

Each round leaves `round-NNN.npz` in RECORDS: delta, n_examples, n_steps and loss of the update,
seed, of the training; before and after, the residual around its encoding (empty: none); payload,
the bytes sent. `machine.json` says what the program takes the machine for.
"""

import json
import os
import platform
import sys
from collections.abc import Generator
from pathlib import Path
from typing import cast

import numpy as np

from fedge import Trainer, codecs
from fedge.cli.main import main
from fedge.codecs import Codec, Stamp
from fedge.training import DataSource, Plan, StepReport
from fedge.types import Array, Update, Vector

_Steps = Generator[StepReport, None, Update]


class Recorded:
    """A codec that records what it encodes, with the training that produced it."""

    def __init__(self, codec: Codec, folder: Path, training: dict[str, Array]) -> None:
        self.spec, self.uses_residual, self.decode = codec.spec, codec.uses_residual, codec.decode
        self._codec, self._folder, self._training = codec, folder, training

    def encode(
        self, delta: Vector, residual: Vector | None, rng: np.random.Generator, *, stamp: Stamp
    ) -> bytes:
        before = _copy(residual)  # encoding overwrites it
        payload = self._codec.encode(delta, residual, rng, stamp=stamp)
        np.savez(
            self._folder / f"round-{stamp.round:03}.npz",
            delta=delta,
            n_examples=np.array(stamp.n_examples),
            before=before,
            after=_copy(residual),
            payload=np.frombuffer(payload, np.uint8),
            **self._training,  # type: ignore[arg-type]  # its stubs take every name for a flag
        )
        return payload


def record(folder: Path) -> None:
    """From now on this process records each training and its encoding."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = {"machine": platform.machine(), "n_cores": os.cpu_count(), "memory_mb": _memory_mb()}
    (folder / "machine.json").write_text(json.dumps(machine))
    get, steps = codecs.get, Trainer.steps
    training: dict[str, Array] = {}  # the last one

    def noted(
        self: Trainer,
        parameters: Vector,
        data: DataSource,
        plan: Plan,
        correction: Vector | None = None,
    ) -> _Steps:
        update = yield from steps(self, parameters, data, plan, correction)
        training.update(
            seed=np.array(plan.seed), n_steps=np.array(update.n_steps), loss=np.array(update.loss)
        )
        return update

    Trainer.steps = noted  # type: ignore[method-assign]  # in this program's own process
    codecs.get = lambda spec: cast("Codec", Recorded(get(spec), folder, training))


def play(folder: Path) -> None:
    """From now on nothing is trained: each update is the one recorded with the same seed.

    Every device and round has its own seed.
    """
    updates: dict[int, Update] = {}
    for file in folder.glob("round-*.npz"):
        with np.load(file, allow_pickle=False) as saved:
            updates[int(saved["seed"])] = Update(
                delta=saved["delta"],
                n_examples=int(saved["n_examples"]),
                n_steps=int(saved["n_steps"]),
                loss=float(saved["loss"]),
            )

    def played(
        _self: Trainer,
        _parameters: Vector,
        _data: DataSource,
        plan: Plan,
        correction: Vector | None = None,  # noqa: ARG001 - the recorded one had it
    ) -> _Steps:
        yield from ()  # a training with no steps
        return updates[plan.seed]

    Trainer.steps = played  # type: ignore[method-assign, assignment]  # as above


def _copy(residual: Vector | None) -> Vector:
    return np.zeros(0, np.float32) if residual is None else residual.copy()


def _memory_mb() -> int:
    with Path("/proc/meminfo").open() as file:
        return int(file.readline().split()[1]) // 1024


def run(words: list[str]) -> int:
    """The exit code of `fedge`."""
    records, *rest = words
    if rest[0] == "--play":
        play(Path(rest[1]))
        rest = rest[2:]
    record(Path(records))
    return main(rest)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
