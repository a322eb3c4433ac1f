"""What the devices of a cohort have sent in earlier rounds, summed up device by device."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fedge.aggregator.state.store import Store
from fedge.strategies import Cohort, Weights
from fedge.types import DeviceId, Vector


@dataclass(frozen=True, slots=True, eq=False)
class StoredHistory:
    """The sums in the database, as deltas of a cohort; zeros for a device that is new."""

    store: Store
    devices: Sequence[DeviceId]
    n_params: int

    def weighted_sum(self, weights: Weights) -> Vector:
        total = np.zeros(self.n_params, np.float32)
        for device, weight in zip(self.devices, np.asarray(weights, np.float64), strict=True):
            if np.float32(weight):
                total += np.float32(weight) * self._read(device, 0, self.n_params)
        return total

    def columns(self, start: int, stop: int, *, absent: float = 0.0) -> Vector:  # noqa: ARG002
        return np.stack([self._read(device, start, stop) for device in self.devices])

    def _read(self, device: DeviceId, start: int, stop: int) -> Vector:
        found = self.store.history(device, 4 * start, 4 * (stop - start))
        if found is None:
            return np.zeros(stop - start, np.float32)
        return np.frombuffer(found, "<f4").astype(np.float32)


def next_history(cohort: Cohort, store: Store) -> Iterator[tuple[DeviceId, bytes]]:
    """The sums after a round whose counted updates are this cohort's; one in memory at a time."""
    names = [member.device for member in cohort.members]
    for device in sorted(set(names)):
        own = [1.0 if name == device else 0.0 for name in names]
        earlier = StoredHistory(store, (device,), cohort.deltas.n_params).weighted_sum([1.0])
        yield device, (earlier + cohort.deltas.weighted_sum(own)).astype("<f4").tobytes()
