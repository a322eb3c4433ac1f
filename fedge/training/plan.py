"""What a device is asked to do in one round: a pure value, sent with the round.

Its fields are declared here and nowhere else. Configurations, flags and the demo take
them over with default, range and help (`fedge.setting.setting_of`).
"""

import math
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, fields
from typing import Any, get_args

from fedge.artifact.manifest import MAX_BATCH
from fedge.errors import ConfigError, PayloadError
from fedge.setting import Rule, above, at_least, default_of, setting, within

BATCH_SIZE = 16  # of plans, and of training graphs that are built without a plan
_LATER = ("algorithm", "validation")  # fields whose absence means their default
_KINDS = {int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to train locally; the fields are those of the papers, and each says what it is.

    Give `local_steps` or `epochs`, not both; with neither, one epoch. `proximal` is the mu of
    FedProx (Li et al., 2020, arXiv:1812.06127). Momentum starts from rest in every round.

    Raises:
        ConfigError: on construction, naming the field and its range.
    """

    local_steps: int | None = setting(
        None,
        rule=within(1, 10**6),
        about="optimizer steps of a device in a round, over as many shuffles of its examples as"
        " they take",
    )
    epochs: int | None = setting(
        None,
        rule=within(1, 10**4),
        about="passes of a device over its examples in a round, instead of a number of steps",
    )
    batch_size: int = setting(BATCH_SIZE, rule=within(1, MAX_BATCH), about="examples in a step")
    lr: float = setting(0.1, rule=above(0, up_to=1000), about="learning rate of a device")
    momentum: float = setting(
        0.0, rule=at_least(0, below=1), about="momentum of a device (heavy ball)"
    )
    weight_decay: float = setting(
        0.0, rule=within(0, 1000), about="L2 penalty, added to the gradient"
    )
    proximal: float = setting(
        0.0, rule=within(0, 1000), about="pull towards the global model (mu of FedProx)"
    )
    clip_norm: float | None = setting(
        None,
        rule=above(0, up_to=10**9),
        about="longest gradient of a step, in the Euclidean norm; longer ones are shortened",
    )
    codec: str = setting(
        "topk:0.01/sign",
        rule=Rule("1 to 64 characters", lambda text: 1 <= len(text) <= 64),
        about="how devices encode their updates",
    )
    seed: int = setting(
        0,
        rule=within(0, 2**63 - 1),
        about="seed of the order of examples, and of everything else that is drawn at random",
    )

    algorithm: str = setting(
        "fedavg",
        rule=Rule("1 to 64 characters", lambda text: 1 <= len(text) <= 64),
        about="what devices do besides plain training",
    )
    validation: float = setting(
        0.0,
        rule=at_least(0, below=1),
        about="share of its examples that a device holds out to evaluate models on, if its data do"
        " not say which",
    )

    def __post_init__(self) -> None:
        if self.local_steps is None and self.epochs is None:
            object.__setattr__(self, "epochs", 1)
        if self.local_steps is not None and self.epochs is not None:
            raise ConfigError("plan: give local_steps or epochs, not both")
        for item in fields(self):
            _check(item, getattr(self, item.name))

    def n_steps(self, n_examples: int) -> int:
        """Optimizer steps that the plan takes on so many examples."""
        if self.local_steps is not None:
            return self.local_steps
        return (self.epochs or 0) * math.ceil(n_examples / self.batch_size)

    def to_wire(self) -> dict[str, Any]:
        """The fields by name, as values that CBOR and JSON know.

        Those that older releases do not know are left out while they ask for nothing.
        """
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in _LATER or value != default_of(type(self), name)
        }

    @classmethod
    def from_wire(cls, record: Mapping[str, Any]) -> "Plan":
        """The plan that `to_wire` wrote, here or in a later release, whose new fields are ignored.

        Raises:
            PayloadError: on a missing field, a wrong type, or a value out of range.
        """
        known = {field.name for field in fields(cls)}
        needed = known.difference(_LATER)
        if not needed <= record.keys():
            raise PayloadError(
                "plan", expected=sorted(needed), found=ascii(list(record)[:20])[:400]
            )
        try:
            return cls(**{name: record[name] for name in record if name in known})
        except ConfigError as error:
            raise PayloadError("plan", expected="values in range", found=error) from None


def _check(item: Field[Any], value: object) -> None:
    """Refuse a value that is not of the field's type, or not in its range."""
    kinds = get_args(item.type) or (item.type,)
    if value is None and type(None) in kinds:
        return
    kind, rule = kinds[0], item.metadata["rule"]
    is_of_kind = type(value) is kind or (kind is float and type(value) is int)
    if not is_of_kind or not rule.holds(value):
        raise ConfigError(f"plan: {item.name} must be {_KINDS[kind]}, {rule.expected}")
