"""What a process costs while it goes through rounds, measured from inside.

Linux reports a process's peak memory since it was last reset, so every part of a round has its own
peak. A round's cost is the mean over all rounds but the first, which also loads, connects and
receives one-time data. The meter's own cost is subtracted.

Standard library only: it also runs in a peer's interpreter, which has nothing else of fedge.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

from fedge.bench.device import wire
from fedge.bench.device.figures import Figures
from fedge.bench.device.tally import Tally
from fedge.bench.instructions import Counter
from fedge.errors import ConfigError, FedgeError

Part: TypeAlias = Literal["start", "training", "upload"]

_STATUS, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_PEAK_RSS = "5"  # writing this resets the peak to what is resident now
_FEWEST = 2  # rounds
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Reading:
    """Totals at the end of a round's training."""

    cpu_s: float
    instructions: int | None
    wire: wire.Wire | None


class Meter:
    """Reads the cost of each part of a round as the process moves on to the next.

    Create it before the process starts threads and connects: an instruction counter sees only
    threads started after it, and on some systems bytes are counted as they pass.

    Args:
        port: of the server whose connections carry the rounds.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._tally = None if wire.is_told() else Tally()
        self._notes: dict[str, str] = {}
        self._counter = self._try(Counter, "instructions")
        self._part: Part = "start"
        self._peaks: dict[Part, int] = {}
        self._readings: list[_Reading] = []
        self._own_s, self._own_instructions = 0.0, 0  # the meter's own, to be subtracted
        self._forget()

    def enter(self, part: Part) -> None:
        """The process moves from one part of its work to another: the peak is reset.

        Leaving `training` ends a round's work, so the totals are read.
        """
        cpu_s, count = self._spent()
        if self._part == "training":
            carried = self._try(self._carried, "sent_bytes", "received_bytes")
            self._readings.append(_Reading(cpu_s, count, carried))
        self._note_peak()
        self._part = part
        self._forget()
        now_s, now = self._spent()
        self._own_s += now_s - cpu_s
        self._own_instructions += (now or 0) - (count or 0)

    def figures(self) -> Figures:
        """The costs so far; the bytes do not include the upload after the last training.

        Raises:
            FedgeError: after fewer than two rounds.
        """
        self._note_peak()
        n_rounds = len(self._readings)
        if n_rounds < _FEWEST:
            raise FedgeError(
                f"a round's cost takes at least {_FEWEST} rounds; there were {n_rounds}"
            )
        first, last = self._readings[0], self._readings[-1]
        between = n_rounds - 1
        values: dict[str, float | None] = {
            **self._memory(),
            **_traffic(first.wire, last.wire, between, self._notes),
            "cpu_s": (last.cpu_s - first.cpu_s) / between,
            "instructions": None,
        }
        if first.instructions is not None and last.instructions is not None:
            values["instructions"] = (last.instructions - first.instructions) / between
        return Figures(values, dict(self._notes))

    def _carried(self) -> wire.Wire:
        return self._tally.read(self._port) if self._tally else wire.read(self._port)

    def _spent(self) -> tuple[float, int | None]:
        """CPU time and instructions so far, without the meter's own."""
        cpu_s, counter = time.process_time() - self._own_s, self._counter
        count = None if counter is None else self._try(counter.read, "instructions")
        return cpu_s, None if count is None else count - self._own_instructions

    def _memory(self) -> dict[str, float | None]:
        is_apart = "peak_training_bytes" not in self._notes
        return {
            "peak_training_bytes": self._peaks.get("training") if is_apart else None,
            "peak_upload_bytes": self._peaks.get("upload") if is_apart else None,
            "peak_bytes": max(self._peaks.values(), default=None),
        }

    def _note_peak(self) -> None:
        peak = self._try(_peak_bytes, "peak_training_bytes", "peak_upload_bytes", "peak_bytes")
        if peak is not None:
            self._peaks[self._part] = max(peak, self._peaks.get(self._part, 0))

    def _forget(self) -> None:
        self._try(lambda: _FORGET.write_text(_PEAK_RSS), "peak_training_bytes", "peak_upload_bytes")

    def _try(self, read: Callable[[], _T], *names: str) -> _T | None:
        """What `read` returns; if it fails, None, and a note for the figures that need it."""
        try:
            return read()
        except (ConfigError, OSError) as error:
            for name in names:
                self._notes.setdefault(name, str(error))
        return None


def _peak_bytes() -> int:
    status = _STATUS.read_text()
    if "VmHWM:" not in status:
        raise ConfigError("this system does not report a process's peak memory (VmHWM)")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def _traffic(
    first: wire.Wire | None, last: wire.Wire | None, between: int, notes: dict[str, str]
) -> dict[str, float | None]:
    """Bytes per round, if one connection carried them all."""
    nothing: dict[str, float | None] = {"sent_bytes": None, "received_bytes": None}
    if first is None or last is None:
        return nothing
    if first.ports != last.ports:
        notes |= dict.fromkeys(nothing, "the connection was lost between the rounds")
        return nothing
    return {
        "sent_bytes": (last.sent_bytes - first.sent_bytes) / between,
        "received_bytes": (last.received_bytes - first.received_bytes) / between,
    }
