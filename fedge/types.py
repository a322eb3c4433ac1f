"""The nouns of the domain: values that cross package boundaries."""

from dataclasses import dataclass
from typing import Any, NewType

import numpy as np
import numpy.typing as npt

DeviceId = NewType("DeviceId", str)
JobId = NewType("JobId", str)
RoundId = NewType("RoundId", int)

# float32 at every boundary. The static type is wider because NumPy's stubs
# promote float32 arithmetic with Python floats; tests check the real dtype.
Vector = npt.NDArray[np.floating[Any]]
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """The result of local training: how far the parameters moved, and on how much data.

    The envelope it travels in says which device and round it belongs to.
    """

    delta: Vector  # float32 (n_trainable,): local minus global parameters
    n_examples: int  # weight in the cohort mean, at least 1
    n_steps: int  # optimizer steps taken
    loss: float  # mean training loss over those steps
