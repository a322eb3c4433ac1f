"""A rate limit for repeated log lines: the same trouble with a link is logged once a minute."""

from fedge.transport.base import Disconnected

REPEAT_S = 60.0


class Trouble:
    """What was last logged about a link that is down."""

    def __init__(self) -> None:
        self._why = ""
        self._said_at_s = 0.0

    def is_news(self, event: Disconnected, now_s: float) -> bool:
        """Whether this is worth a line: a new reason, or the same one after a minute."""
        why = event.reason.partition("; next try in ")[0]
        if why == self._why and now_s - self._said_at_s < REPEAT_S:
            return False
        self._why, self._said_at_s = why, now_s
        return True

    def is_over(self) -> None:
        """The link is up; whatever comes next is news."""
        self._why = ""
