"""What devices are sent of a new model: a compressed difference to the one that they hold.

The aggregator keeps the exact model w and h, the one that devices hold. A round ends with
the broadcast C(w - h), and h moves by what it decodes to. What the codec left out stays in
the difference and goes out later, so the difference itself is the error feedback.

Source: Sattler et al., 2019, arXiv:1903.02891 (compressed downlink, caching of the last
broadcasts).
"""

from dataclasses import dataclass

import numpy as np

from fedge import codecs
from fedge.codecs import Codec, Stamp
from fedge.types import Vector

WHOLE = "none"  # the spec that sends no differences, but every model as it is


@dataclass(frozen=True, slots=True, eq=False)
class Broadcast:
    """One round's message to the devices, and what they hold after it."""

    payload: bytes | None  # None: they fetch the whole model
    held: Vector  # float32 (n_params,)


@dataclass(frozen=True, slots=True)
class Broadcaster:
    """Makes broadcasts; the same arguments give the same bytes on every machine.

    Attributes:
        codec: of the differences.
        n_trainable: how many values, at the front of the parameters, they are about.
    """

    codec: Codec
    n_trainable: int

    def broadcast(self, parameters: Vector, held: Vector, stamp: Stamp, seed: int) -> Broadcast:
        """The way from what devices hold towards the parameters, both float32 (n_params,).

        It is the whole model where that is not larger, where the difference is not
        finite, and where something has changed that no broadcast covers: statistics.
        """
        n = self.n_trainable
        whole = Broadcast(None, parameters)
        if self.codec.spec == WHOLE or not np.array_equal(parameters[n:], held[n:]):
            return whole
        dice = np.random.default_rng((seed, stamp.round))
        with np.errstate(over="ignore"):
            difference = parameters[:n] - held[:n]
        try:
            payload = self.codec.encode(difference, None, dice, stamp=stamp)
        except ValueError:  # it is beyond the range of float32
            return whole
        after = held.copy()
        codecs.accumulate(payload, 1.0, after[:n])
        is_worth_it = len(payload) < 4 * parameters.size and np.isfinite(after[:n]).all()
        return Broadcast(payload, after) if is_worth_it else whole
