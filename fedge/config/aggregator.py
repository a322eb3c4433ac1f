"""The settings of an aggregator; those of the training it asks for are the plan's."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

from fedge import codecs, strategies
from fedge.codecs.varint import MAX_VARINT
from fedge.config.common import NAME, LogLevel, MqttVersion, Process
from fedge.config.fields import check
from fedge.messages.manifest import MAX_DEADLINE_S, MAX_PARTS
from fedge.rounds import ENOUGH, Enough, is_enough
from fedge.setting import Rule, above, at_least, setting, setting_of, within
from fedge.strategies import algorithms
from fedge.training.plan import Plan

_CODECS = f"{', '.join(codecs.SPECS)}; docs/codecs.md helps to choose"


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatorConfig:
    """What an aggregator needs to know; `settings.load` reads it."""

    section: ClassVar[str] = "aggregator"

    broker: str = setting_of(Process, "broker")
    password_file: Path | None = setting_of(Process, "password_file")
    fleet: str = setting_of(Process, "fleet")
    job: str = setting_of(Process, "job")
    name: str = setting("aggregator", rule=NAME, about="its name, unique in the fleet")
    artifact: Path = setting(about="what to train, a .fedge file")
    state_dir: Path = setting(Path("fedge-aggregator"), about="folder for everything it keeps")
    test_data: Path | None = setting(None, about="examples to test each model on, an .npz file")

    rounds: int = setting(50, rule=at_least(1), about="training rounds to run")
    quorum: int = setting(1, rule=at_least(1), about="updates a round needs before it may close")
    wait_for: int = setting(1, rule=at_least(1), about="devices online before a round opens")
    deadline_s: float = setting(
        60.0, rule=above(0, up_to=MAX_DEADLINE_S), about="how long a round waits for updates"
    )
    close_after: str | None = setting(
        None,
        rule=Rule(ENOUGH, is_enough),
        about="close a round before its deadline when this many updates are in: a number, or a "
        "share of the devices asked, such as 80%",
    )
    close_grace_s: float = setting(
        0.0, rule=at_least(0), about="how long a round waits for more once it has enough"
    )
    max_missed: int = setting(
        2,
        rule=at_least(1),
        about="rounds that a silent device may miss in a row before rounds no longer wait for it",
    )
    max_devices: int = setting(
        10_000, rule=within(1, 1_000_000), about="most devices that a round waits for"
    )
    give_up_after: int | None = setting(
        None,
        rule=at_least(1),
        about="end with an error when this many rounds in a row have failed on every device; "
        "unset: keep trying",
    )
    target_accuracy: float | None = setting(
        None, rule=within(0, 1), about="finish once the test accuracy has reached this"
    )
    strategy: str = setting("fedavg", about=f"how updates make the next model: {strategies.HELP}")
    max_examples: int = setting(
        10_000_000,
        rule=within(1, MAX_VARINT),
        about="most examples that one update may claim to stand for",
    )
    keep_models: int = setting(
        20, rule=at_least(1), about="how many of the latest models to keep, besides the best one"
    )
    norm_bound: float | None = setting(
        2.0,
        rule=at_least(1),
        off="off",
        about="longest update that counts in full, in median norms of its round",
    )
    weight_bound: float | None = setting(
        3.0,
        rule=at_least(1),
        off="off",
        about="most examples that one update counts for, in medians of its round",
    )
    parts: int = setting(1, rule=within(1, MAX_PARTS), about="partitions of the update topics")

    codec: str = setting_of(Plan, "codec", note=f": {_CODECS}")
    downlink_codec: str = setting(
        "topk:0.03/sign",
        about="how models are sent: as differences, by one of the same codecs; none: whole models",
    )
    local_steps: int | None = setting_of(Plan, "local_steps")
    epochs: int | None = setting_of(Plan, "epochs", note="; 1 if neither is set")
    batch_size: int = setting_of(Plan, "batch_size")
    lr: float = setting_of(Plan, "lr")
    momentum: float = setting_of(Plan, "momentum")
    weight_decay: float = setting_of(Plan, "weight_decay")
    proximal: float = setting_of(Plan, "proximal")
    clip_norm: float | None = setting_of(Plan, "clip_norm")
    seed: int = setting_of(Plan, "seed")
    algorithm: str = setting_of(Plan, "algorithm", note=f": {algorithms.HELP}")
    validation: float = setting_of(Plan, "validation")

    events: Path | None = setting(None, about="file to append events to, one JSON object a line")
    connect_timeout_s: float = setting_of(Process, "connect_timeout_s")
    mqtt: MqttVersion = setting_of(Process, "mqtt")
    ca_file: Path | None = setting_of(Process, "ca_file")
    log_level: LogLevel = setting_of(Process, "log_level")

    def __post_init__(self) -> None:
        check(self)
        self.plan()  # has rules of its own

    def enough(self) -> Enough | None:
        """How many updates end a round early; None: only all of them do."""
        return None if self.close_after is None else Enough.parse(self.close_after)

    def plan(self) -> Plan:
        """The training that every round asks for."""
        return Plan(**{item.name: getattr(self, item.name) for item in fields(Plan)})
