"""Ditto's personal models."""

import numpy as np

from fedge.strategies.algorithms.values import LocalTerms
from fedge.types import Vector


def personal_terms(lam: float, model: Vector, own: Vector | None) -> LocalTerms:
    """Steps of a personal model, pulled by lam towards the global one.

    The optimizer pulls towards where the steps start: lam * (v - own) + lam * (own - model) is
    lam * (v - model).

    Source: Li et al., 2021, arXiv:2012.04221, algorithm 1.
    """
    start = model if own is None else own
    with np.errstate(over="ignore", invalid="ignore"):  # training will say so
        return LocalTerms(np.float32(lam) * (start - model), lam, start)
