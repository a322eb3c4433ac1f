"""Reverse-mode gradients of ONNX models: a graph in, a graph of its gradients out.

`trace` reads a model into a `Graph`, `apply_dropout` turns its scores into those
of training, `get_loss` adds a loss, `gradients` runs backwards with one rule per
operator, `to_model` writes out what the results need. The result contains only
standard ONNX operators.
"""

from fedge.autodiff.backward import gradients
from fedge.autodiff.copies import settle_copies
from fedge.autodiff.dropout import FACTORS, apply_dropout
from fedge.autodiff.export import to_bytes, to_model
from fedge.autodiff.graph import Graph, Node
from fedge.autodiff.infer import OPSET, Tensor
from fedge.autodiff.losses import LOSSES, Loss, get_loss
from fedge.autodiff.parameters import Parameter, Stored, find_stored
from fedge.autodiff.rules import RULES
from fedge.autodiff.trace import Traced, input_tensors, trace

__all__ = [
    "FACTORS",
    "LOSSES",
    "OPSET",
    "RULES",
    "Graph",
    "Loss",
    "Node",
    "Parameter",
    "Stored",
    "Tensor",
    "Traced",
    "apply_dropout",
    "find_stored",
    "get_loss",
    "gradients",
    "input_tensors",
    "settle_copies",
    "to_bytes",
    "to_model",
    "trace",
]
