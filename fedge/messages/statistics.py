"""What a device reports about its features in a statistics round: sums over its examples."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from fedge.artifact import InputSpec, Manifest, TargetSpec
from fedge.artifact.layout import schema_hash
from fedge.errors import DataError, PayloadError
from fedge.messages import wire
from fedge.messages.skim import Kind
from fedge.messages.update import MAX_ROUND
from fedge.training.statistics import FeatureStatistics, federated
from fedge.types import Array, RoundId

SCHEMA_BYTES = 32
MAX_EXAMPLES = 2**53
# Of means and of deviations: their squares, and sums of these, are far from the limits of float64,
# and what they become is stored as float32.
MAX_MOMENT = 1e20
_OVERHEAD = 256  # of the map, its keys and numbers
_INPUT_OVERHEAD = 32  # of an input's entry, beside its name and numbers
_INPUT_VALUES = 5  # its name, a list and three byte strings
_FIELDS = {
    "schema": Kind.OCTETS,
    "round": Kind.INTEGER,
    "n_examples": Kind.INTEGER,
    "features": Kind.MAP,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsReport:
    """A device's answer to a statistics round.

    CBOR map: `v`, `schema` (32 bytes), `round`, `n_examples`, and `features`: for each
    federated input, and the target as `fedge.target` if it is federated, its name and three byte
    strings, count, mean and m2, with one float64, little-endian, for each feature. It is sent the
    way an update is.

    A count is at most `n_examples` times the number of values that the feature has in an example.
    A mean is at most 1e20 away from 0, and so is a deviation: m2 is at most 1e40 times the count.
    """

    schema: bytes
    round: RoundId
    n_examples: int
    features: Mapping[str, FeatureStatistics]

    def to_bytes(self) -> bytes:
        features = {
            name: [_to_octets(part) for part in (one.count, one.mean, one.m2)]
            for name, one in self.features.items()
        }
        return wire.encode(
            {
                "v": wire.VERSION,
                "schema": self.schema,
                "round": self.round,
                "n_examples": self.n_examples,
                "features": features,
            }
        )

    @classmethod
    def from_bytes(cls, payload: bytes, manifest: Manifest) -> Self:
        """The statistics of a model's inputs, from bytes.

        Raises:
            PayloadError: unless they are for exactly the federated inputs of this model, and can be
                counts, means and squared deviations.
        """
        fields = wire.decode_map(
            payload,
            "statistics",
            fields=_FIELDS,
            max_bytes=max_bytes(manifest),
            max_values=wire.MAX_VALUES + _INPUT_VALUES * len(federated(manifest)),
        )
        schema = wire.octets(fields["schema"], SCHEMA_BYTES, "statistics schema")
        if schema != schema_hash(manifest.layout):
            raise PayloadError("statistics schema", expected="this model's", found="another")
        features = wire.typed(fields["features"], dict, "statistics features")
        specs = federated(manifest)
        if features.keys() != {spec.name for spec in specs}:
            raise PayloadError(
                "statistics features", expected=f"{len(specs)} known inputs", found="others"
            )
        n_examples = wire.bounded(fields["n_examples"], 1, MAX_EXAMPLES, "statistics n_examples")
        return cls(
            schema=schema,
            round=RoundId(wire.bounded(fields["round"], 0, MAX_ROUND, "statistics round")),
            n_examples=n_examples,
            features={spec.name: _read(features[spec.name], spec, n_examples) for spec in specs},
        )


def max_bytes(manifest: Manifest) -> int:
    """The size limit of a report on the inputs of this model."""
    return _OVERHEAD + sum(
        24 * math.prod(spec.statistic_shape) + len(spec.name.encode()) + _INPUT_OVERHEAD
        for spec in federated(manifest)
    )


def _read(value: object, spec: InputSpec | TargetSpec, n_examples: int) -> FeatureStatistics:
    parts = wire.typed(value, list, "statistics of an input")
    if len(parts) != 3:
        raise PayloadError(
            "statistics of an input", expected="count, mean and m2", found=len(parts)
        )
    shape = spec.statistic_shape
    n_values = n_examples * (math.prod(spec.shape) // max(1, math.prod(shape)))
    count = _from_octets(parts[0], shape, n_values)
    mean = _from_octets(parts[1], shape, MAX_MOMENT)
    arrays = (count, mean, _from_octets(parts[2], shape, np.abs(count) * MAX_MOMENT**2))
    try:
        return FeatureStatistics(*arrays)
    except DataError as error:
        raise PayloadError("statistics", expected=error.expected, found=error.found) from None


def _from_octets(value: object, shape: tuple[int, ...], bound: float | Array) -> Array:
    data = wire.octets(value, 8 * math.prod(shape), "statistics numbers")
    array = np.frombuffer(data, "<f8").astype(np.float64).reshape(shape)
    if not (np.abs(array) <= bound).all():  # NaN is not
        most = f"at most {np.max(bound):g}"
        raise PayloadError("statistics numbers", expected=most, found="others")
    return array


def _to_octets(array: Array) -> bytes:
    return array.astype("<f8").tobytes()
