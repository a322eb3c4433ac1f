"""Local training: parameters, examples and a plan in, an update out."""

from fedge.training.data import ArrayData, DataSource
from fedge.training.evaluation import Evaluation
from fedge.training.plan import Plan
from fedge.training.trainer import StepReport, Trainer

__all__ = ["ArrayData", "DataSource", "Evaluation", "Plan", "StepReport", "Trainer"]
