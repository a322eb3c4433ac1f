"""A rate limit for repeated log lines."""


class RateLimit:
    """Allows n lines per period; the rest are counted, not logged."""

    def __init__(self, n: int, period_s: float) -> None:
        self._n, self._period_s = n, period_s
        self._since_s = float("-inf")
        self._said = 0
        self.n_silent = 0

    def allows(self, now_s: float) -> bool:
        """Whether this line may be logged."""
        if now_s - self._since_s >= self._period_s:
            self._since_s, self._said, self.n_silent = now_s, 0, 0
        if self._said < self._n:
            self._said += 1
            return True
        self.n_silent += 1
        return False
