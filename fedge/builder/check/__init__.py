"""Verifies an artifact: its graphs load and agree, and its gradient is the slope of its loss.

How the gradient is judged:

1. The training graph runs in float64, on onnx's reference in NumPy. Against float32 its own
   rounding vanishes, so that a gradient of 1e-9 can be judged as well as one of 1.
2. Each slot is moved in a direction that is half its gradient's and half random, and the slope of
   the evaluation graph's loss, in float64 too, must agree with the gradient within 0.3 %.
3. The training graph runs in float32, on onnxruntime and on the reference; onnxruntime may be as
   far from float64 as the reference is, and some more.

The parameters are the artifact's own, each moved at random by a hundredth. At almost every point a
loss made of Relu, MaxPool and their like has a slope, and a right gradient is that slope whatever
it takes for the slope of a corner (Bolte and Pauwels, 2020, arXiv:2006.02080); at the special
points where a model begins, such as biases of zero, neither need hold. Ties that the examples make
stay ties when the parameters move, and are judged.
"""

from fedge.builder.check.check import check_artifact
from fedge.builder.check.examples import kinds_of_examples, random_examples
from fedge.builder.check.report import CheckReport, SlotCheck

__all__ = ["CheckReport", "SlotCheck", "check_artifact", "kinds_of_examples", "random_examples"]
