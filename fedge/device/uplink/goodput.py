"""How many bytes a link carries in a given time, judged by the sends it has carried.

    rate of a send    n_bytes / max(took_s, upload_time_s / 8)
    goodput           the middle one of the last three rates; the lower one of two
    budget            goodput * upload_time_s

The time of a send includes what does not grow with its size: the way there and back, the broker.
So the rate of a small send is too low rather than too high, and a budget made of it comes nearer
to the link's with every send: it settles where a send takes upload_time_s.

A send that took less than an eighth of the time counts as if it had taken an eighth: it vouches
for eight times its bytes and not for more, since a link may carry a few kilobytes at a rate that
it does not keep up. If less than the budget comes out, it says nothing, and is not counted.
"""

from dataclasses import dataclass, replace
from typing import Self

from fedge.codecs.budget import LEAST_BUDGET

FIRST_BUDGET = 4096  # bytes, before anything was sent: a second at 32 kbit/s
MOST_BUDGET = 2**32  # bytes: more than float32 takes for the largest model
_MOST_GROWTH = 8
_N_KEPT = 3  # one odd send among three changes nothing


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes of updates, and how long it took until the broker had acknowledged all of them."""

    n_bytes: int
    took_s: float


@dataclass(frozen=True, slots=True)
class Goodput:
    """What is known about a link.

    Attributes:
        upload_time_s: how long a send may take; more than 0.
        sends: those that count, oldest first, at most three.
    """

    upload_time_s: float
    sends: tuple[Send, ...] = ()

    @property
    def bytes_per_s(self) -> float | None:
        """Of updates, without what the protocol adds; None before the first send."""
        rates = sorted(self._rate(send) for send in self.sends)
        return rates[(len(rates) - 1) // 2] if rates else None

    @property
    def budget_bytes(self) -> int:
        """The most that the next send should have: what `Budget` accepts."""
        if self.bytes_per_s is None:
            return FIRST_BUDGET
        return _bounded(self.bytes_per_s * self.upload_time_s)

    def after(self, send: Send) -> Self:
        """The broker has all of it."""
        is_quick = send.took_s < self.upload_time_s / _MOST_GROWTH
        if is_quick and _MOST_GROWTH * send.n_bytes <= self.budget_bytes:
            return self
        return replace(self, sends=(*self.sends, send)[-_N_KEPT:])

    def after_failure(self, send: Send) -> Self:
        """The link broke, or it took too long; how long was it tried?

        Earlier sends are forgotten. The next budget is half of this one, and never more than what
        would have gone through if all but the last byte had.
        """
        proven = self.upload_time_s * self._rate(send)
        most = _bounded(min(self.budget_bytes / 2, proven))
        return replace(self, sends=(Send(most, self.upload_time_s),))

    def _rate(self, send: Send) -> float:
        return send.n_bytes / max(send.took_s, self.upload_time_s / _MOST_GROWTH)


def _bounded(n_bytes: float) -> int:
    return int(min(max(n_bytes, LEAST_BUDGET), MOST_BUDGET))
