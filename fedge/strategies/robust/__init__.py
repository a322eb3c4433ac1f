"""Cohort rules that a minority of arbitrary updates cannot move far."""

from fedge.strategies.robust.coordinatewise import coordinate_median, trimmed_mean

__all__ = ["coordinate_median", "trimmed_mean"]
