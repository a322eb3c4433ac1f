"""How a new model is sent to devices: as a compressed difference from the one they hold.

The aggregator keeps the exact model w and h, the one that devices hold. Each round ends with
the broadcast C(w - h), and h moves by what that decodes to. What the codec left out stays in
the difference and is sent later, so the difference itself is the error feedback.

Source: Sattler et al., 2019, arXiv:1903.02891 (compressed downlink, caching of the last
broadcasts).
"""

from dataclasses import dataclass

import numpy as np

from fedge import codecs
from fedge.codecs import Codec, Stamp
from fedge.types import Vector

WHOLE = "none"  # the spec for sending every model whole instead of differences


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
        n_trainable: how many values, at the front of the parameters, they cover.
    """

    codec: Codec
    n_trainable: int

    def broadcast(self, parameters: Vector, held: Vector, stamp: Stamp, seed: int) -> Broadcast:
        """A step from what devices hold towards the parameters, both float32 (n_params,).

        The whole model is sent if it is no larger, if the difference is not finite, or if
        values changed that no broadcast covers, which are the statistics.
        """
        n = self.n_trainable
        whole = Broadcast(None, parameters)
        if self.codec.spec == WHOLE or not np.array_equal(parameters[n:], held[n:]):
            return whole
        rng = np.random.default_rng((seed, stamp.round))
        with np.errstate(over="ignore"):
            difference = parameters[:n] - held[:n]
        try:
            payload = self.codec.encode(difference, None, rng, stamp=stamp)
        except ValueError:  # out of the range of float32
            return whole
        after = held.copy()
        codecs.accumulate(payload, 1.0, after[:n])
        is_worth_it = len(payload) < 4 * parameters.size and np.isfinite(after[:n]).all()
        return Broadcast(payload, after) if is_worth_it else whole
