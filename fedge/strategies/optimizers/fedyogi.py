"""Yogi on the server."""

from dataclasses import dataclass

import numpy as np

from fedge.strategies.optimizers.fedadam import FedAdam
from fedge.types import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class FedYogi(FedAdam):
    """Adam whose variance moves towards the squared delta by a step that does not depend on it.

    So a single large delta does not raise the variance as much, and it falls more slowly. As in the
    source, there is no bias correction, and the variance starts at tau squared. With
    `bias_correction=1` the variance starts at 0, and momentum and variance are divided by 1 minus
    the power of their beta, as in Adam; for the variance that is a convention, since it is no
    running mean.

    Source: Reddi et al., 2021, arXiv:2003.00295, algorithm 2.
    """

    def _variance(self, before: Vector, squared: Vector) -> Vector:
        share = np.float32(1) - np.float32(self.beta2)
        return before - share * squared * np.sign(before - squared)
