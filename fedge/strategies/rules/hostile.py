"""How many members of a cohort a rule expects to be hostile: so many, or a share of them."""

import math
from dataclasses import dataclass

from fedge.errors import ConfigError
from fedge.strategies.cohort import Cohort

MOST = 1000


class CohortError(ValueError):
    """A rule cannot combine a cohort, because of how many members it has."""


@dataclass(frozen=True, slots=True)
class Needs:
    """How large a cohort must be for f hostile members: at least `each` times f, and `more`.

    A share is rounded up to whole members, and down again to what the cohort has room for.
    """

    each: int
    more: int

    def least(self, f: float) -> int:
        """The smallest cohort for this number; for a share, for one hostile member."""
        return self.each * math.ceil(f) + self.more

    def count(self, f: float, cohort: Cohort) -> int:
        """How many hostile members a cohort is taken to have.

        Raises:
            CohortError: if it is too small.
        """
        n, least = len(cohort.members), self.least(f)
        check_size(cohort, least)
        if f >= 1:
            return int(f)
        share = math.ceil(f * n - 1e-9)  # 0.07 of 100 is 7, not 7.000000000000001
        return min(share, (n - self.more) // self.each)


MAJORITY = Needs(each=2, more=1)


def check_size(cohort: Cohort, least: int) -> None:
    """CohortError for fewer members than this."""
    n = len(cohort.members)
    if n < least:
        raise CohortError(too_few(n, least))


def too_few(n: int, least: int) -> str:
    """Why a rule that needs this many updates cannot combine n."""
    counted = "1 update" if n == 1 else f"{n} updates"
    return f"{counted} could be counted and the rule needs {least}"


def require_hostile(whose: str, f: float) -> None:
    """ConfigError unless f is a whole number of members or a share of less than half."""
    is_share = 0 < f < 0.5
    is_number = 1 <= f <= MOST and f == int(f)
    if not (is_share or is_number):
        raise ConfigError(
            f"{whose}: f must be a whole number from 1 to {MOST}, or a share of the cohort below "
            f"0.5, not {f:g}"
        )
