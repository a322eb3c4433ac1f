"""What a demo may be asked for; `docs/demo.md` explains it."""

from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import ClassVar, get_args

from fedge.config.aggregator import AggregatorConfig
from fedge.config.common import Process
from fedge.config.fields import check
from fedge.setting import above, at_least, default_of, setting, setting_of
from fedge.simulation.data import N_DEVICES
from fedge.training.plan import Plan
from fedge.transport.programs import AnyKind

OWN_BROKERS: tuple[AnyKind, ...] = get_args(AnyKind)
_STEPS = 20
# By loss. The slope of a cross entropy by a score is at most 1; that of a squared error grows
# with it.
_LR = {"cross_entropy": 0.2, "binary_cross_entropy": 0.2, "mse": 0.02}


def _dated() -> Path:
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    return Path("fedge-demo") / stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The fleet, its data, and the training, every field of whose plan is an option.

    Two of them are unset where a plan has a default: see `plan`.
    """

    section: ClassVar[str] = ""  # flags only

    devices: int | None = setting(
        None,
        rule=at_least(1),
        about=f"device processes; unset: one for each client of the data, or {N_DEVICES}",
    )
    rounds: int = setting(40, rule=at_least(1), about="training rounds")
    data: Path | None = setting(None, about="your data instead of the digits, an .npz file")
    model: Path | None = setting(
        None, about="your model instead of a small perceptron, an .onnx file"
    )
    loss: str | None = setting(
        None, about="cross_entropy, mse or binary_cross_entropy; unset: chosen by the data"
    )
    standardize: bool = setting(
        default=False,
        about="scale features by the fleet's own mean and spread, and fill in missing values; "
        "always on for --data without --model",
    )
    alpha: float = setting(
        0.3,
        rule=above(0),
        about="concentration of the Dirichlet draw that deals out the examples: the smaller, the "
        "more the devices' data differ",
    )
    strategy: str = setting_of(AggregatorConfig, "strategy")
    codec: str = setting_of(AggregatorConfig, "codec")
    downlink_codec: str = setting_of(AggregatorConfig, "downlink_codec")
    deadline_s: float = setting_of(AggregatorConfig, "deadline_s", default=30.0)

    local_steps: int | None = setting_of(
        Plan, "local_steps", note=f"; {_STEPS} if --epochs is not set either"
    )
    epochs: int | None = setting_of(Plan, "epochs")
    batch_size: int = setting_of(Plan, "batch_size")
    lr: float | None = setting_of(
        Plan,
        "lr",
        default=None,
        note=f"; unset: {_LR['cross_entropy']} for classes, {_LR['mse']} for numbers",
    )
    momentum: float = setting_of(Plan, "momentum")
    weight_decay: float = setting_of(Plan, "weight_decay")
    proximal: float = setting_of(Plan, "proximal")
    clip_norm: float | None = setting_of(Plan, "clip_norm")
    algorithm: str = setting_of(AggregatorConfig, "algorithm")
    validation: float = setting_of(Plan, "validation")
    seed: int = setting_of(Plan, "seed", note=", the split and the model's weights included")

    broker: str | None = setting(
        None,
        is_secret=True,
        about="URL of a broker that is already running, such as "
        f"{default_of(Process, 'broker')}; or mosquitto or iotcore, to choose "
        "which one is started; unset: mosquitto if it is installed",
    )
    password_file: Path | None = setting_of(Process, "password_file")
    out: Path = setting(factory=_dated, about="folder for everything this run makes, new or empty")

    def __post_init__(self) -> None:
        check(self)
        self.plan(next(iter(_LR)))  # has rules of its own

    def plan(self, loss: str) -> Plan:
        """The training of every round; number of steps and learning rate are a demo's if unset."""
        wanted = {item.name: getattr(self, item.name) for item in fields(Plan)}
        if self.lr is None:
            wanted["lr"] = _LR[loss]
        if self.local_steps is None and self.epochs is None:
            wanted["local_steps"] = _STEPS
        return Plan(**wanted)
