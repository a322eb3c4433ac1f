"""How many bytes a link carries in a given time, estimated from past sends.

    rate of a send    n_bytes / max(took_s, upload_time_s / 8)
    goodput           the middle one of the last three rates; the lower one of two
    budget            goodput * upload_time_s

The time of a send includes costs that do not grow with its size: the round trip, the broker. So the
rate of a small send is too low rather than too high, and the budget approaches what the link
carries with every send: it settles where a send takes upload_time_s.

A send that took less than an eighth of the time counts as if it had taken an eighth: it is evidence
for eight times its bytes and no more, since a link may carry a few kilobytes at a rate that it
cannot sustain. If the result is below the current budget, the send proves nothing and is ignored.
"""

from dataclasses import dataclass, replace
from typing import Self

from fedge.codecs.budget import LEAST_BUDGET

FIRST_BUDGET = 4096  # bytes, before the first send: one second at 32 kbit/s
MOST_BUDGET = 2**32  # bytes: more than the largest model takes in float32
_MOST_GROWTH = 8
_N_KEPT = 3  # one odd send among three has no effect


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes of updates, and how long until the broker had acknowledged all of them."""

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
        """Update bytes per second, without protocol overhead; None before the first send."""
        rates = sorted(self._rate(send) for send in self.sends)
        return rates[(len(rates) - 1) // 2] if rates else None

    @property
    def budget_bytes(self) -> int:
        """The most the next send should have, within what `Budget` accepts."""
        if self.bytes_per_s is None:
            return FIRST_BUDGET
        return _bounded(self.bytes_per_s * self.upload_time_s)

    def after(self, send: Send) -> Self:
        """The estimate after the broker has received all of a send."""
        is_quick = send.took_s < self.upload_time_s / _MOST_GROWTH
        if is_quick and _MOST_GROWTH * send.n_bytes <= self.budget_bytes:
            return self
        return replace(self, sends=(*self.sends, send)[-_N_KEPT:])

    def after_failure(self, send: Send) -> Self:
        """The estimate after the link broke or a send took too long; `send` has the time so far.

        Earlier sends are forgotten. The next budget is half of this one, and never more than the
        link would have carried if all but the last byte had gone through.
        """
        proven = self.upload_time_s * self._rate(send)
        most = _bounded(min(self.budget_bytes / 2, proven))
        return replace(self, sends=(Send(most, self.upload_time_s),))

    def _rate(self, send: Send) -> float:
        return send.n_bytes / max(send.took_s, self.upload_time_s / _MOST_GROWTH)


def _bounded(n_bytes: float) -> int:
    return int(min(max(n_bytes, LEAST_BUDGET), MOST_BUDGET))
