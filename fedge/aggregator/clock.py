"""The clocks the aggregator reads; a test passes its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic` measures waiting, in seconds; `wall` dates what is stored."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], datetime] = _now

    def timestamp(self) -> str:
        """The wall clock's time in UTC, ISO 8601 with milliseconds."""
        return self.wall().astimezone(UTC).isoformat(timespec="milliseconds")

    def since_s(self, timestamp: str) -> float:
        """Seconds from an earlier `timestamp` until now; never negative."""
        passed = self.wall() - datetime.fromisoformat(timestamp)
        return max(0.0, passed.total_seconds())
