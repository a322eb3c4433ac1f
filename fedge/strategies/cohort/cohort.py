"""A cohort as a rule sees it."""

from collections.abc import Iterator
from dataclasses import dataclass

from fedge.strategies.cohort.deltas import Deltas
from fedge.strategies.cohort.gram import Gram
from fedge.types import DeviceId, RoundId, Vector

ROWS_BYTES = 2**25  # of all rows of one range; a smaller one decodes every payload more often


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What is known about one update, apart from its delta.

    Attributes:
        device: who made it.
        round: that it answers.
        n_examples: that it was trained on, at least 1.
        n_steps: optimizer steps that made it, as its device says; None if it does not.
        loss: mean training loss over these steps; likewise.
        staleness: how many models have been made since the one it was trained from: 0 in a
            synchronous round.
        norm: length of the delta, after any shortening; None if it has not been measured.
    """

    device: DeviceId
    round: RoundId
    n_examples: int
    n_steps: int | None = None
    loss: float | None = None
    staleness: int = 0
    norm: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """All that a rule may use: who took part in a round, and the deltas in the same order.

    Attributes:
        members: in the order of their devices' names, then of rounds if a device is in it
            twice; so no result depends on which update came first.
        deltas: one per member.
        reference: the delta that the aggregator made itself from data it trusts, float32
            (n_params,); only for rules that need it.
        history: per member the sum of all earlier deltas of its device that were counted; only for
            rules that need it.
        n_read: how many rows are in memory while a range of columns is read; 0 for one a member.
        gram: of the deltas, where somebody has computed it already; `gram_of` reads it.
    """

    members: tuple[Member, ...]
    deltas: Deltas
    reference: Vector | None = None
    history: Deltas | None = None
    n_read: int = 0
    gram: Gram | None = None

    def ranges(self, most_bytes: int = ROWS_BYTES) -> Iterator[tuple[int, int]]:
        """Ranges of columns, from the first to the last, whose rows fit into this many bytes."""
        n_params, n_rows = self.deltas.n_params, max(1, len(self.members), self.n_read)
        width = max(1, most_bytes // (4 * n_rows))
        for start in range(0, n_params, width):
            yield start, min(start + width, n_params)
