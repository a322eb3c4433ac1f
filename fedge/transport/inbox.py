"""Passes events from the network thread to the caller, in groups, because wake-ups are costly."""

import queue
from collections import deque

from fedge.transport.base import Event, Message


class Inbox:
    """One thread puts, another gets; each writes only its own counters.

    Attributes:
        n_put: messages put, with their bytes.
        n_got: messages taken out, with their bytes.
    """

    def __init__(self) -> None:
        self.n_put = self.put_bytes = 0
        self.n_got = self.got_bytes = 0
        self._groups: queue.SimpleQueue[list[Event]] = queue.SimpleQueue()
        self._filling: list[Event] = []
        self._emptying: deque[Event] = deque()

    @property
    def n_unread(self) -> int:
        """Messages that the caller has not taken out yet."""
        return self.n_put - self.n_got

    @property
    def unread_bytes(self) -> int:
        return self.put_bytes - self.got_bytes

    def put(self, event: Event) -> None:
        """Add one; the caller sees it after the next `hand_over`."""
        if isinstance(event, Message):
            self.n_put += 1
            self.put_bytes += len(event.payload)
        self._filling.append(event)

    def hand_over(self) -> None:
        """Make everything that was put visible to the caller."""
        if self._filling:
            self._groups.put(self._filling)
            self._filling = []

    def get(self, timeout_s: float) -> Event | None:
        """The next event, or None if none came in time; 0 does not wait."""
        if not self._emptying:
            try:
                group = self._groups.get(block=timeout_s > 0, timeout=max(0.0, timeout_s))
            except queue.Empty:
                return None
            self._emptying.extend(group)
        event = self._emptying.popleft()
        if isinstance(event, Message):
            self.n_got += 1
            self.got_bytes += len(event.payload)
        return event
