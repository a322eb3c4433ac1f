"""What a device is asked to do in one round: a pure value, sent with the round."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from fedge.errors import ConfigError, PayloadError

DEFAULT_CODEC = "topk:0.01/sign"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to train locally; the fields are those of the papers.

    Give `local_steps` or `epochs`, not both; with neither, one epoch.

    Attributes:
        local_steps: optimizer steps, over as many shuffles of the examples as they take.
        epochs: passes over the examples, each in a new order.
        batch_size: examples a step; the last step of an epoch takes what is left.
        lr: step size.
        momentum: heavy ball, starting from rest in every round.
        weight_decay: L2 penalty, added to the gradient.
        proximal: mu of FedProx (Li et al., 2020, arXiv:1812.06127): pulls towards the global model.
        clip_norm: longest gradient of a step, in the Euclidean norm; longer ones are shortened.
        codec: spec of the codec that the update is to be sent with.
        seed: of the order of the examples, and of what dropout drops.

    Raises:
        ConfigError: on construction, naming the field and its range.
    """

    local_steps: int | None = None
    epochs: int | None = None
    batch_size: int = 16
    lr: float = 0.1
    momentum: float = 0.0
    weight_decay: float = 0.0
    proximal: float = 0.0
    clip_norm: float | None = None
    codec: str = DEFAULT_CODEC
    seed: int = 0

    def __post_init__(self) -> None:
        if self.local_steps is None and self.epochs is None:
            object.__setattr__(self, "epochs", 1)
        if self.local_steps is not None and self.epochs is not None:
            raise ConfigError("plan: give local_steps or epochs, not both")
        for name, (low, high) in _INTEGERS.items():
            _check_integer(name, getattr(self, name), low, high)
        for name, (least, most) in _REALS.items():
            _check_real(name, getattr(self, name), least, most)
        if self.lr == 0 or self.clip_norm == 0 or self.momentum == 1:
            raise ConfigError("plan: lr and clip_norm must be above 0, momentum below 1")
        _check_text("codec", self.codec)

    def n_steps(self, n_examples: int) -> int:
        """Optimizer steps that the plan takes on so many examples."""
        if self.local_steps is not None:
            return self.local_steps
        return (self.epochs or 0) * math.ceil(n_examples / self.batch_size)

    def to_wire(self) -> dict[str, Any]:
        """Every field by name, as values that CBOR and JSON know."""
        return asdict(self)

    @classmethod
    def from_wire(cls, record: Mapping[str, Any]) -> "Plan":
        """The plan that `to_wire` wrote.

        Raises:
            PayloadError: on a missing or unknown field, a wrong type, or a value out of range.
        """
        names = {field.name for field in fields(cls)}
        if record.keys() != names:
            raise PayloadError("plan", expected=sorted(names), found=ascii(list(record)[:20])[:400])
        try:
            return cls(**record)
        except ConfigError as error:
            raise PayloadError("plan", expected="values in range", found=error) from None


_INTEGERS = {
    "local_steps": (1, 10**6),
    "epochs": (1, 10**4),
    "batch_size": (1, 2**16),
    "seed": (0, 2**63 - 1),
}
_REALS = {
    "lr": (0.0, 1e3),
    "momentum": (0.0, 1.0),
    "weight_decay": (0.0, 1e3),
    "proximal": (0.0, 1e3),
    "clip_norm": (0.0, 1e9),
}
_OPTIONAL = ("local_steps", "epochs", "clip_norm")


def _check_integer(name: str, value: object, low: int, high: int) -> None:
    if value is None and name in _OPTIONAL:
        return
    if type(value) is not int or not low <= value <= high:
        raise ConfigError(f"plan: {name} must be a whole number from {low} to {high}")


def _check_real(name: str, value: object, low: float, high: float) -> None:
    if value is None and name in _OPTIONAL:
        return
    if type(value) not in {int, float} or not low <= value <= high:  # type: ignore[operator]
        raise ConfigError(f"plan: {name} must be a number from {low:g} to {high:g}")


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not 1 <= len(value) <= 64:
        raise ConfigError(f"plan: {name} must be a text of 1 to 64 characters")
