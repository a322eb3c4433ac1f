"""How many examples the fleet has in all, as far as an aggregator can know."""

import statistics
from collections.abc import Iterable, Mapping
from typing import Protocol

from fedge.strategies import Cohort
from fedge.types import DeviceId

_MOST = 10  # medians that one device counts as: what it says, nobody can check


class Counts(Protocol):
    """Where the numbers of earlier rounds are; a `Store` has them."""

    def examples(self) -> Mapping[DeviceId, int]:
        """How many examples each device said it has, in its last accepted update."""
        ...


class FleetExamples:
    """Numbers of examples by device, read from the database once and kept up to date after that.

    Args:
        store: read once.
    """

    def __init__(self, store: Counts) -> None:
        self._store = store
        self._known: dict[DeviceId, int] | None = None

    def total(self, cohort: Cohort, asked: Iterable[DeviceId]) -> int:
        """Those of all devices that ever answered, and of those asked, as many as the others have.

        A device counts as at most ten medians, so a single one cannot make it arbitrarily large.
        It is never less than the cohort has.

        Args:
            cohort: of this round.
            asked: devices that this round asked.
        """
        if self._known is None:
            self._known = dict(self._store.examples())
        self._known |= {one.device: one.n_examples for one in cohort.members}
        counts = self._known.values()
        most = _MOST * statistics.median_low(counts) if counts else 0
        known = sum(min(count, most) for count in counts)
        n_silent = sum(device not in self._known for device in set(asked))
        estimate = known + n_silent * known // max(1, len(counts))
        return max(1, estimate, sum(one.n_examples for one in cohort.members))
