"""Medians of CPU time, measured in turns so that all candidates see the same noise."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_SAMPLE_NS = 200_000  # a sample of a short call covers many calls
_LEAST = 3  # samples
_TURNS, _TURN = 20, 10  # turns per candidate, and samples per turn


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something to time.

    Attributes:
        run: the call; timed.
        prepare: what is needed before each sample; not timed.
        laps: calls that one preparation is good for; without one, as many as the clock needs.
    """

    run: Callable[[], object]
    prepare: Callable[[], object] | None = None
    laps: int = 1


def medians(candidates: Mapping[str, Candidate], budget_s: float) -> dict[str, float]:
    """Seconds of CPU time of this process for one call of each.

    CPU time, because a neighbour on a shared machine does not add to it; in turns, because clock
    rates change; several samples per turn, because the first ones find the others' data in the
    caches. Each candidate has an equal share of the budget and stops when it is used up, but not
    before three samples. The cost of reading the clock is measured and subtracted.
    """
    timers = {name: _Timer(candidate) for name, candidate in candidates.items()}
    share_ns = budget_s * 1e9 / max(1, len(timers))
    for _ in range(_TURNS):
        for timer in timers.values():
            timer.turn(share_ns)
    overhead_ns = _clock_ns()
    return {name: timer.median_s(overhead_ns) for name, timer in timers.items()}


class _Timer:
    """The samples of one candidate."""

    def __init__(self, candidate: Candidate) -> None:
        self._candidate = candidate
        self._samples: list[int] = []
        self._spent_ns = 0
        self._n_calls = candidate.laps
        self.sample()  # the first call may load or allocate
        self.sample()
        if candidate.prepare is None:
            self._n_calls = max(1, _SAMPLE_NS // max(1, self._samples[-1]))
        self._samples.clear()

    def turn(self, share_ns: float) -> None:
        """A few samples, as long as time is left."""
        for _ in range(_TURN):
            if len(self._samples) >= _LEAST and self._spent_ns >= share_ns:
                return
            self.sample()

    def sample(self) -> None:
        run, calls = self._candidate.run, range(self._n_calls)
        begin = time.perf_counter_ns()
        if self._candidate.prepare is not None:
            self._candidate.prepare()
        start = time.process_time_ns()
        for _ in calls:
            run()
        self._samples.append(time.process_time_ns() - start)
        self._spent_ns += time.perf_counter_ns() - begin

    def median_s(self, overhead_ns: float) -> float:
        each_ns = (statistics.median(self._samples) - overhead_ns) / self._n_calls
        return max(each_ns, 1.0) * 1e-9


def _clock_ns() -> float:
    """The difference between two readings of the clock with nothing in between."""
    gaps = []
    for _ in range(100):
        start = time.process_time_ns()
        gaps.append(time.process_time_ns() - start)
    return statistics.median(gaps)
