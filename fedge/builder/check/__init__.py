"""Verifies an artifact: its graphs load and agree, and its gradient is the slope of its loss.

How the gradient is judged:

1. The training graph runs in float64, on onnx's reference in NumPy. Its rounding is negligible
   next to float32's, so a gradient of 1e-9 can be judged as well as one of 1.
2. Each slot is moved in a direction half along its gradient and half random; the slope of the
   evaluation graph's loss, also in float64, must agree with the gradient within 0.3 %.
3. The training graph runs in float32, on onnxruntime and on the reference; onnxruntime may be
   somewhat further from float64 than the reference is.

The parameters are the artifact's own, each perturbed at random by about one per cent. At almost
every point a loss made of Relu, MaxPool and the like has a slope, and a correct gradient equals it,
whatever slope it assigns to corners (Bolte and Pauwels, 2020, arXiv:2006.02080); at the special
points where models start, such as zero biases, neither need hold. Ties caused by the examples stay
ties when the parameters move, and are judged.
"""

from fedge.builder.check.check import check_artifact
from fedge.builder.check.examples import kinds_of_examples, random_examples
from fedge.builder.check.report import CheckReport, SlotCheck

__all__ = ["CheckReport", "SlotCheck", "check_artifact", "kinds_of_examples", "random_examples"]
