"""What a device reports about itself when it ends."""

import platform
import resource
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from fedge.types import RoundId
from fedge.version import installed

_PACKAGES = ("fedge", "numpy", "onnxruntime", "onnx", "paho-mqtt", "cbor2")


@dataclass(slots=True)
class ByRound:
    """Payload bytes received, by the round most recently announced when they arrived."""

    current: RoundId | None = None
    _bytes: Counter[RoundId] = field(default_factory=Counter)
    _before_first: int = 0

    def add(self, n_bytes: int) -> None:
        if self.current is None:
            self._before_first += n_bytes  # counted for the first round, which they lead up to
        else:
            self._bytes[self.current] += n_bytes

    def announce(self, round_: RoundId) -> None:
        """From now on, bytes count for this round."""
        self.current = round_
        self._bytes[round_] += self._before_first
        self._before_first = 0

    def to_json(self) -> dict[str, int]:
        return {str(round_): n_bytes for round_, n_bytes in sorted(self._bytes.items())}


def process_figures() -> dict[str, object]:
    """Peak memory, CPU time and versions of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "peak_rss_bytes": _peak_rss_bytes(usage.ru_maxrss),
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "versions": {
            "python": platform.python_version(),
            **installed(_PACKAGES, absent="not installed"),
        },
    }


def _peak_rss_bytes(ru_maxrss: int) -> int:
    """This program's own peak: on Linux ru_maxrss starts at that of the parent process."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError, ValueError):  # not Linux: bytes on macOS, KiB elsewhere
        return ru_maxrss * (1 if sys.platform == "darwin" else 1024)
