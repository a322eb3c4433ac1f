"""Compiled inner loops. Each has a NumPy twin of the same name in `reference`."""

from fedge._kernels._optimizer import sgd_step

__all__ = ["sgd_step"]
