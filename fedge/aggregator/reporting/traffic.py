"""Bytes and refusals, counted until the next commit stores them."""

from collections import Counter

from fedge.aggregator.state.records import Tally
from fedge.messages import Reason
from fedge.types import DeviceId


class Traffic:
    """Bytes and refusals since they were last taken.

    Args:
        most_late: the most devices to count as late: anyone may send under any name, and each
            name takes memory.
    """

    def __init__(self, most_late: int) -> None:
        self.most_late, self._is_crowded = most_late, False
        self._uplink_bytes = 0
        self._sent_bytes, self._taken_bytes = 0, 0
        self._refusals: Counter[str] = Counter()
        self._late: set[DeviceId] = set()

    def received(self, size_bytes: int) -> None:
        """A chunk of an update, or a request, has arrived."""
        self._uplink_bytes += size_bytes

    def sent(self, total_bytes: int) -> None:
        """The transport has sent this much so far."""
        self._sent_bytes = total_bytes

    def refused(self, device: DeviceId, reason: Reason) -> bool:
        """Count a refusal; True the first time a late device no longer fits the count."""
        self._refusals[reason.value] += 1
        if reason is not Reason.LATE or device in self._late:
            return False
        if len(self._late) < self.most_late:
            self._late.add(device)
            return False
        was_crowded, self._is_crowded = self._is_crowded, True
        return not was_crowded

    @property
    def has_refusals(self) -> bool:
        return bool(self._refusals)

    def take(self) -> Tally:
        """Everything counted since the last call, to be stored now."""
        tally = Tally(
            uplink_bytes=self._uplink_bytes,
            downlink_bytes=self._sent_bytes - self._taken_bytes,
            refusals=dict(self._refusals),
        )
        self._uplink_bytes, self._taken_bytes = 0, self._sent_bytes
        self._refusals.clear()
        return tally

    def take_late(self) -> int:
        """How many devices have been too late since the last call."""
        n_late = len(self._late)
        self._late.clear()
        self._is_crowded = False
        return n_late
