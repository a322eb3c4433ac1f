"""The way down: which model the devices have, and what they had to fetch to get it."""

from dataclasses import replace
from typing import Protocol

import numpy as np

from fedge import codecs
from fedge.bench.codecs.schemes import FLOAT32, Way
from fedge.codecs import Stamp
from fedge.types import Vector


class Downlink(Protocol):
    """Gives devices the aggregator's model, or something close to it.

    The first model comes with the artifact and costs nothing.
    """

    model: Vector  # what an up-to-date device has; float32 (n_trainable,)

    def catch_up(self, device: int) -> int:
        """Bytes that a device fetches before it trains, to get up to date."""

    def publish(self, parameters: Vector, rng: np.random.Generator) -> int:
        """Publish the next model; returns the bytes fetched by a device that has the last one."""


class WholeModel:
    """Every model as float32, fetched by the devices that train on it."""

    def __init__(self, model: Vector) -> None:
        self.model = model
        self._version = 0
        self._has: dict[int, int] = {}

    def catch_up(self, device: int) -> int:
        is_new = self._has.get(device, 0) < self._version
        self._has[device] = self._version
        return whole_size(self.model) if is_new else 0

    def publish(self, parameters: Vector, rng: np.random.Generator) -> int:
        del rng
        self.model = parameters
        self._version += 1
        return whole_size(parameters)


class Difference:
    """The difference between the aggregator's model and the devices', by a codec.

    What a payload leaves out is part of the next difference, which serves as error feedback. A
    device that was away fetches every payload it missed, or the whole model if that is smaller.
    """

    def __init__(self, model: Vector, way: Way, stamp: Stamp) -> None:
        self.model = model.copy()
        self._way, self._stamp = way, stamp
        self._sizes: list[int] = []
        self._has: dict[int, int] = {}

    def catch_up(self, device: int) -> int:
        missed = sum(self._sizes[self._has.get(device, 0) :])
        self._has[device] = len(self._sizes)
        return min(missed, whole_size(self.model))

    def publish(self, parameters: Vector, rng: np.random.Generator) -> int:
        difference = parameters - self.model
        stamp = replace(self._stamp, round=len(self._sizes) + 1)
        payload = self._way.encoder.encode(difference, None, rng, stamp=stamp)
        self._way.accumulate(payload, 1.0, self.model)
        self._sizes.append(len(payload))
        return len(payload)


def whole_size(model: Vector) -> int:
    """Bytes of a model as a payload of float32."""
    empty = codecs.get(FLOAT32).encode(np.zeros(1, np.float32), None, np.random.default_rng(0))
    return len(empty) - 4 + 4 * model.size
