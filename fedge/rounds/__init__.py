"""One round: which devices are asked, which have answered, and when it is over."""

from fedge.rounds.enough import ENOUGH, Enough, is_enough
from fedge.rounds.round import CALM_S, Round, Verdict

__all__ = ["CALM_S", "ENOUGH", "Enough", "Round", "Verdict", "is_enough"]
