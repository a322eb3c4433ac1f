"""What a device tells of itself when it ends."""

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
    """Payload bytes received, by the round that was announced last when they came."""

    current: RoundId | None = None
    _bytes: Counter[RoundId] = field(default_factory=Counter)
    _before_first: int = 0

    def add(self, n_bytes: int) -> None:
        if self.current is None:
            self._before_first += n_bytes  # counted to the first round, which they lead to
        else:
            self._bytes[self.current] += n_bytes

    def announce(self, round_: RoundId) -> None:
        """From now on bytes count to this round."""
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
    """Of this program alone: Linux' ru_maxrss begins with that of the process that started it."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError, ValueError):  # no Linux: bytes on macOS, KiB elsewhere
        return ru_maxrss * (1 if sys.platform == "darwin" else 1024)
