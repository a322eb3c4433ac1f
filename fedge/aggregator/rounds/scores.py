"""How far each update of a round is from the others: in length, in direction, in training loss.

Only what a minority cannot move is compared with: medians, and the sum of updates that were scaled
to length 1. All numbers follow from the round's updates alone, so a restarted aggregator finds the
same ones.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from fedge.aggregator.state.records import Score
from fedge.strategies.rules.bound import FEW
from fedge.types import DeviceId

LONG = 2.0  # median norms; in honest fleets few are longer
FAR = 5.0  # median norms; of honest devices hardly any, and none again and again
OPPOSED = -3.0  # robust standard deviations of the cosines
LOSSY = 4.0  # robust standard deviations of the losses
_LEAST = 5  # values that a spread is measured on
_SPREAD = 1.4826  # times the median distance: the standard deviation of normal values
_LEAST_COSINE = 0.01  # a spread that is smaller says nothing
_LEAST_LOSS = 0.05  # likewise, of the median loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known about one update of a round.

    Attributes:
        norm: as sent.
        cosine: with the direction of the others that count; None if it was not measured.
        loss: as its device says; None if it does not.
        counts: whether it is one of those that all are compared with.
        cuts: those of "dropped", "clipped" and "capped" that happened to it.
    """

    device: DeviceId
    norm: float
    cosine: float | None
    loss: float | None
    counts: bool
    cuts: frozenset[str]


def score(cohort: Sequence[Seen], median_norm: float | None) -> tuple[Score, ...]:
    """Compare each update with those that count.

    An update is suspect if it is more than `FAR` times as long as the median, or if it points away
    from the others and is also long or has an unusual loss. Direction or loss alone are no reason:
    honest devices with rare data have both.

    Args:
        cohort: every update of the round.
        median_norm: of those that count; None if all of them are zeros.
    """
    voters = [one for one in cohort if one.counts]
    lengths = median_norm if len(voters) >= FEW else None
    cosines = _Spread.of([one.cosine for one in voters], least=_LEAST_COSINE)
    losses = _Spread.of([one.loss for one in voters], relative=_LEAST_LOSS)
    return tuple(_score(one, lengths, cosines, losses) for one in cohort)


def _score(
    one: Seen, lengths: float | None, cosines: "_Spread | None", losses: "_Spread | None"
) -> Score:
    norm = None if lengths is None else one.norm / lengths
    turned, loss = _distance(one.cosine, cosines), _distance(one.loss, losses)
    is_long = norm is not None and norm > LONG
    is_opposed = turned is not None and turned < OPPOSED
    is_lossy = loss is not None and loss > LOSSY
    is_far = norm is not None and norm > FAR
    marks = {
        "suspect": is_far or (is_opposed and (is_long or is_lossy)),
        "long": is_long,
        "opposed": is_opposed,
        "lossy": is_lossy,
    }
    found = frozenset(name for name, holds in marks.items() if holds)
    return Score(device=one.device, norm=norm, cosine=one.cosine, loss=loss, marks=found | one.cuts)


@dataclass(frozen=True, slots=True)
class _Spread:
    """The median of some values, and how far from it they usually are."""

    median: float
    deviation: float

    @classmethod
    def of(
        cls, values: Sequence[float | None], *, least: float = 0.0, relative: float = 0.0
    ) -> "_Spread | None":
        """None for too few values, or if they are all the same and there is no least deviation."""
        known = [value for value in values if value is not None]
        if len(known) < _LEAST:
            return None
        median = statistics.median(known)
        distance = statistics.median(abs(value - median) for value in known)
        deviation = max(_SPREAD * distance, least, relative * abs(median))
        return cls(median, deviation) if deviation > 0 else None


def _distance(value: float | None, spread: _Spread | None) -> float | None:
    """From the median, in deviations."""
    if value is None or spread is None:
        return None
    return (value - spread.median) / spread.deviation
