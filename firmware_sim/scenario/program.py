"""The program of a board whose power will be cut: `fedge device`, which stops at a given place.

It is copied to the board and needs only fedge there:

    python3 program.py PLACE device ...

The first time it reaches PLACE it says so and stops, while its network thread keeps running. On the
way it reports what it puts into its outbox and takes out of it, before and after, in lines
`outbox WORD ROUND NONCE RESIDUAL`, and saves each round's delta in `records/`.
"""

import hashlib
import importlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fedge.cli.main import main
from fedge.device.state.outbox import Outbox, Result
from fedge.device.work.learner import Encoded, Learner
from fedge.messages import RoundManifest
from fedge.types import Update, Vector

# The phases of a round, in order: what is called, and whether to stop before or after it.
PLACES = {
    "connected": ("fedge.device.link.presence:Membership.join", "after"),
    "downloaded": ("fedge.device.state.cache:BlobCache.put", "before"),
    "stored": ("fedge.device.state.cache:BlobCache.put", "after"),
    "training": ("fedge.device.work.worker:Worker.train", "after"),
    "encoded": ("fedge.device.work.learner:Learner.encode", "after"),
    "keeping": ("fedge.device.state.outbox:Outbox._write_residual", "after"),  # in the transaction
    "kept": ("fedge.device.state.outbox:Outbox.put", "after"),
    "sent": ("fedge.device.uplink.sender:Sender._publish", "after"),
    "answered": ("fedge.device.state.outbox:Outbox.accept", "before"),
    "forgotten": ("fedge.device.state.outbox:Outbox.accept", "after"),
}
STANDS = "stands at"  # the first words of the line that says so
RECORDS = Path("records")


def report_outbox() -> None:
    """From now on report every operation on the outbox, and save the deltas."""
    RECORDS.mkdir(exist_ok=True)
    encode, put, accept, refuse = Learner.encode, Outbox.put, Outbox.accept, Outbox.refuse

    def saving_encode(
        self: Learner,
        update: Update,
        manifest: RoundManifest,
        residual: Vector | None,
        **more: Any,
    ) -> Encoded:
        _keep(RECORDS / f"{manifest.round:03}.npy", update.delta)
        return encode(self, update, manifest, residual, **more)

    def reporting_put(
        self: Outbox, result: Result, *, residual: Vector | None, **more: Any
    ) -> None:
        after = "-" if residual is None else hashlib.sha256(residual.tobytes()).hexdigest()
        line = f"{result.round} {result.nonce.hex()} {after}"
        _say(f"outbox put {line}")
        put(self, result, residual=residual, **more)
        _say(f"outbox has-put {line}")

    def reporting_accept(self: Outbox, nonce: bytes) -> None:
        _say(f"outbox accept - {nonce.hex()} -")
        accept(self, nonce)
        _say(f"outbox has-accepted - {nonce.hex()} -")

    def reporting_refuse(self: Outbox, nonce: bytes) -> bool:
        _say(f"outbox refuse - {nonce.hex()} -")
        return refuse(self, nonce)

    Learner.encode = saving_encode  # type: ignore[method-assign]  # this program's own process
    Outbox.put = reporting_put  # type: ignore[method-assign]
    Outbox.accept = reporting_accept  # type: ignore[method-assign]
    Outbox.refuse = reporting_refuse  # type: ignore[method-assign]


def stand_at(name: str) -> None:
    """From now on stop for good at the first call of the place's function."""
    target, when = PLACES[name]
    owner, attribute = resolve(target)
    original: Callable[..., Any] = getattr(owner, attribute)

    def standing(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            _stand(name)
        result = original(*args, **kwargs)
        _stand(name)
        return result

    setattr(owner, attribute, standing)


def resolve(target: str) -> tuple[type, str]:
    """The class and the attribute named by `module:Class.attribute`."""
    module, _, path = target.partition(":")
    owner, _, attribute = path.partition(".")
    return getattr(importlib.import_module(module), owner), attribute


def _stand(name: str) -> None:
    _say(f"{STANDS} {name}")
    while True:
        time.sleep(3600)


def _keep(path: Path, values: Vector) -> None:
    """Write an array so that it is on the disk when this returns."""
    with path.open("wb") as file:
        np.save(file, values)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    place, *words = sys.argv[1:]
    report_outbox()
    if place != "-":
        stand_at(place)
    sys.exit(main(words))
