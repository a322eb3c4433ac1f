"""How well a model does: sums over examples, and what they say of a fleet."""

from fedge.training.metrics.batch import sums_of
from fedge.training.metrics.fleet import Fleet, bounds, summarize
from fedge.training.metrics.sums import N_BINS, Form, Sums, form_of

__all__ = ["N_BINS", "Fleet", "Form", "Sums", "bounds", "form_of", "summarize", "sums_of"]
