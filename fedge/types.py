"""The nouns of the domain: values that cross package borders."""

from dataclasses import dataclass
from typing import Any, NewType

import numpy as np
import numpy.typing as npt

DeviceId = NewType("DeviceId", str)
JobId = NewType("JobId", str)
RoundId = NewType("RoundId", int)

# float32 at every border. The static type is wider because NumPy's stubs
# promote float32 arithmetic with Python floats; tests check the real dtype.
Vector = npt.NDArray[np.floating[Any]]
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What local training gives: how far the parameters moved, and on how much data.

    Which device and round it belongs to is said by the envelope it travels in.
    """

    delta: Vector  # float32 (n_trainable,): local minus global parameters
    n_examples: int  # weight in the cohort mean, at least 1
    n_steps: int  # optimizer steps taken
    loss: float  # mean training loss over those steps
