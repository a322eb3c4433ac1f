"""The check of what selections are given."""

from fedge.strategies.robust.selection.products import Numbers


def check_gram(gram: Numbers, f: int, *, least: int = 1) -> None:
    """ValueError unless this is a square matrix of at least `least` rows, more than 2 * f."""
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
        raise ValueError(f"a Gram matrix must be square, not of shape {gram.shape}")
    n = len(gram)
    if f < 0 or 2 * f >= n:
        raise ValueError(f"n_byzantine must be 0 to less than half of {n} updates: {f}")
    if n < least:
        raise ValueError(f"{f} Byzantine updates need at least {least} updates in all, not {n}")
