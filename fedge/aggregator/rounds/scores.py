"""How far each update of a round is from the others: in length, in direction, in losses.

Only what a minority cannot move is compared with: medians, and the sum of updates that were scaled
to length 1. All numbers follow from the round's updates and from the last evaluation by devices,
which is stored, so a restarted aggregator finds the same ones.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fedge.aggregator.state.records import Score
from fedge.strategies.rules.bound import FEW
from fedge.types import DeviceId

LONG = 3.0  # median norms; in honest fleets few are longer
FAR = 8.0  # median norms; of honest devices hardly any, and none again and again
OPPOSED = -3.0  # robust standard deviations of the cosines
LOSSY = 12.0  # robust standard deviations of the losses
_LEAST = 5  # values that a spread is measured on
_SPREAD = 1.4826  # times the median distance: the standard deviation of normal values
_LEAST_COSINE = 0.01  # a spread that is smaller says nothing
_LEAST_LOSS = 0.05  # likewise, of the median loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known about one update of a round before its direction is measured.

    Attributes:
        norm: as sent.
        loss: of training, as its device says; None if it does not.
        evaluated: mean loss of the last evaluated model on its device's held-out examples; None if
            that is not known.
        counts: whether it is one of those that all are compared with.
        cuts: those of "dropped", "clipped" and "capped" that happened to it.
    """

    device: DeviceId
    norm: float
    loss: float | None
    counts: bool
    cuts: frozenset[str] = frozenset()
    evaluated: float | None = None


def score(cohort: Sequence[Seen], median_norm: float | None) -> list[Score]:
    """Compare the lengths and losses of all updates with those that count.

    One that is more than `FAR` times as long as the median is suspect.

    Args:
        cohort: every update of the round.
        median_norm: of those that count; None if all of them are zeros.
    """
    voters = [one for one in cohort if one.counts]
    lengths = median_norm if len(voters) >= FEW else None
    losses = _Losses(
        _Spread.of([one.loss for one in voters], relative=_LEAST_LOSS),
        _Spread.of([one.evaluated for one in voters], relative=_LEAST_LOSS),
    )
    return [_score(one, lengths, losses) for one in cohort]


def _score(one: Seen, lengths: float | None, losses: "_Losses") -> Score:
    norm, loss = None if lengths is None else one.norm / lengths, losses.distance(one)
    marks = set(one.cuts)
    if norm is not None and norm > LONG:
        marks |= {"long", "suspect"} if norm > FAR else {"long"}
    if loss is not None and loss > LOSSY:
        marks.add("lossy")
    return Score(device=one.device, norm=norm, loss=loss, marks=frozenset(marks))


def turn(
    scores: list[Score], cosines: Mapping[int, float | None], voters: Iterable[int]
) -> list[Score]:
    """Compare directions too, where they were measured.

    An update that points away from the others is suspect if it is also long or has an unusual
    loss. Direction or loss alone are no reason: honest devices with rare data have both.

    Args:
        scores: of the whole cohort.
        cosines: by place in it: with the direction of the others that count.
        voters: places of those that the others are compared with.
    """
    spread = _Spread.of([cosines[place] for place in voters], least=_LEAST_COSINE)
    found = list(scores)
    for place, cosine in cosines.items():
        one = scores[place]
        marks = one.marks
        if spread is not None and cosine is not None and spread.distance(cosine) < OPPOSED:
            marks |= {"opposed"} if marks.isdisjoint({"long", "lossy"}) else {"opposed", "suspect"}
        found[place] = replace(one, cosine=cosine, marks=marks)
    return found


@dataclass(frozen=True, slots=True)
class _Losses:
    """How a cohort's losses are spread, in training and on held-out examples."""

    training: "_Spread | None"
    evaluated: "_Spread | None"

    def distance(self, one: Seen) -> float | None:
        """The larger of an update's two distances; None if neither is known."""
        told = ((self.training, one.loss), (self.evaluated, one.evaluated))
        known = [spread.distance(loss) for spread, loss in told if spread and loss is not None]
        return max(known, default=None)


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

    def distance(self, value: float) -> float:
        """From the median, in deviations."""
        return (value - self.median) / self.deviation
