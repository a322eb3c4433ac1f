"""Compares two runs of one fleet: what was sent and what became of it, bit for bit."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedge.aggregator import open_registry
from fedge.types import Array
from firmware_sim.errors import EmulationError
from firmware_sim.fleet.stage import RECORDS

# The compared parts of a record and their names: what went in, what was sent, what stayed behind.
_COMPARED = {
    "delta": "delta",
    "before": "residual before it",
    "payload": "payload",
    "after": "residual after it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was compared, and what differed.

    Attributes:
        n_payloads: over all devices and rounds; each with the residual before and after it.
        payload_bytes: total size of the payloads.
        n_models: one per round, plus the initial one.
        differences: one sentence each, at most one per array and model.
    """

    n_payloads: int
    payload_bytes: int
    n_models: int
    differences: tuple[str, ...]


def compare(emulated: Path, native: Path) -> Checked:
    """The payloads and the models of a run on emulated boards and of one on this machine.

    Args:
        emulated: folder of the run on the boards.
        native: folder of the run that was fed its deltas.

    Raises:
        EmulationError: if one of the runs has no records, so that there is nothing to compare.
    """
    files = sorted((emulated / "devices").glob(f"*/{RECORDS}/round-*.npz"))
    if not files:
        raise EmulationError(f"{emulated} has no records to compare")
    differences: list[str] = []
    n_bytes = 0
    for file in files:
        with np.load(file, allow_pickle=False) as found:
            n_bytes += found["payload"].size
        differences += _records(file, native / file.relative_to(emulated))
    n_models = len(open_registry(emulated / "aggregator/state").models())
    differences += _models(emulated, native)
    return Checked(
        n_payloads=len(files),
        payload_bytes=n_bytes,
        n_models=n_models,
        differences=tuple(differences),
    )


def _records(emulated: Path, native: Path) -> Iterator[str]:
    where = f"{emulated.parent.parent.name}, {emulated.stem.replace('-', ' ')}"
    if not native.exists():
        yield f"{where}: this machine's fleet has no such record"
        return
    with (
        np.load(emulated, allow_pickle=False) as on_board,
        np.load(native, allow_pickle=False) as here,
    ):
        for name, title in _COMPARED.items():
            found = _first(on_board[name], here[name])
            if found is not None:
                yield f"{where}: {title}: {found}"


def _models(emulated: Path, native: Path) -> Iterator[str]:
    board, here = (open_registry(run / "aggregator/state") for run in (emulated, native))
    pairs = list(zip(board.models(), here.models(), strict=False))
    if len(pairs) != len(board.models()):
        yield f"models: {len(board.models())} on the boards, {len(here.models())} here"
    for ours, theirs in pairs:
        if ours.sha256 != theirs.sha256:
            found = _first(board.parameters(ours), here.parameters(theirs))
            yield f"model after round {ours.round}: {found}"


def _first(on_board: Array, here: Array) -> str | None:
    """Where two arrays first differ, as bytes, because equal numbers may differ in bits."""
    ours, theirs = on_board.tobytes(), here.tobytes()
    if ours == theirs:
        return None
    size = min(len(ours), len(theirs))
    a, b = (np.frombuffer(data, np.uint8, size) for data in (ours, theirs))
    places = np.flatnonzero(a != b)
    if not places.size:
        return f"{len(ours)} bytes on the board, {len(theirs)} here, equal as far as they go"
    at = int(places[0])
    return (
        f"byte {at} of {len(ours)} is {ours[at]:#04x} on the board, {theirs[at]:#04x} here;"
        f" bytes that differ: {places.size}"
    )
