"""The settings of an aggregator and of the training it asks for."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fedge import codecs, strategies
from fedge.config.common import BROKER_URL, NAME, LogLevel, MqttVersion
from fedge.config.fields import Rule, above, at_least, check, setting, within
from fedge.rounds import ENOUGH, Enough, is_enough
from fedge.training.plan import Plan

_CODECS = f"{', '.join(codecs.SPECS)}; docs/codecs.md helps to choose"


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatorConfig:
    """What an aggregator needs to know; `settings.load` reads it."""

    section: ClassVar[str] = "aggregator"

    broker: str = setting(
        BROKER_URL,
        is_secret=True,
        about="where the broker is, mqtt:// or mqtts://, in a WebSocket ws:// or wss://",
    )
    password_file: Path | None = setting(
        None, about="file with the password of the user that the broker's URL names"
    )
    fleet: str = setting("default", rule=NAME, about="the fleet it serves")
    job: str = setting("default", rule=NAME, about="the job it runs")
    name: str = setting("aggregator", rule=NAME, about="its name, its own in the fleet")
    artifact: Path = setting(about="what to train, a .fedge file")
    state_dir: Path = setting(Path("fedge-aggregator"), about="folder for all it keeps")
    test_data: Path | None = setting(None, about="examples to test each model on, an .npz file")

    rounds: int = setting(50, rule=at_least(1), about="training rounds to run")
    quorum: int = setting(1, rule=at_least(1), about="updates a round needs before it may close")
    wait_for: int = setting(1, rule=at_least(1), about="devices online before a round opens")
    deadline_s: float = setting(60.0, rule=above(0), about="how long a round waits for updates")
    close_after: str | None = setting(
        None,
        rule=Rule(ENOUGH, is_enough),
        about="updates that are enough to close a round before its deadline: a number, or a share "
        "of the devices asked, like 80%",
    )
    close_grace_s: float = setting(
        0.0, rule=at_least(0), about="how long a round waits for more when it has enough"
    )
    max_missed: int = setting(
        2,
        rule=at_least(1),
        about="rounds in a row that a silent device may miss before no round waits for it",
    )
    max_devices: int = setting(
        10_000, rule=within(1, 1_000_000), about="most devices that a round waits for"
    )
    give_up_after: int | None = setting(
        None,
        rule=at_least(1),
        about="end with an error when so many rounds in a row failed on every device; "
        "unset: go on trying",
    )
    target_accuracy: float | None = setting(
        None, rule=within(0, 1), about="finish when the test accuracy is this"
    )
    strategy: str = setting("fedavg", about=f"how updates make the next model: {strategies.HELP}")
    max_examples: int = setting(
        10_000_000, rule=within(1, 2**32 - 1), about="most examples one update may weigh"
    )
    keep_models: int = setting(
        20, rule=at_least(1), about="how many of the last models to keep, and the best besides"
    )
    norm_bound: float | None = setting(
        2.0,
        rule=at_least(1),
        off="off",
        about="longest an update may be, in median norms of its round",
    )
    parts: int = setting(1, rule=within(1, 4096), about="partitions of the update topics")

    codec: str = setting("topk:0.01/sign", about=f"how devices encode their updates: {_CODECS}")
    downlink_codec: str = setting(
        "topk:0.03/sign",
        about="how models are sent, as differences, by a codec as above; none: whole, as they are",
    )
    local_steps: int | None = setting(
        None, rule=at_least(1), about="optimizer steps of a device in a round"
    )
    epochs: int | None = setting(
        None, rule=at_least(1), about="passes over its data instead of steps; 1 if neither is set"
    )
    batch_size: int = setting(16, rule=at_least(1), about="examples in a step")
    lr: float = setting(0.1, rule=above(0), about="learning rate of a device")
    momentum: float = setting(0.0, rule=at_least(0), about="momentum of a device")
    weight_decay: float = setting(0.0, rule=at_least(0), about="weight decay of a device")
    proximal: float = setting(0.0, rule=at_least(0), about="pull towards the global model")
    clip_norm: float | None = setting(None, rule=above(0), about="largest gradient norm of a step")
    seed: int = setting(0, rule=within(0, 2**63 - 1), about="of all that is drawn by chance")

    events: Path | None = setting(None, about="file to append events to, a JSON object a line")
    connect_timeout_s: float = setting(
        60.0, rule=at_least(0), about="give up when the broker never answered for so long; 0: never"
    )
    mqtt: MqttVersion = setting("auto", about="MQTT version; auto: 5, else 3.1.1")
    ca_file: Path | None = setting(
        None, about="certificates to trust with mqtts:// and wss://, PEM"
    )
    log_level: LogLevel = setting("info", about="how much to log")

    def __post_init__(self) -> None:
        check(self)
        self.plan()  # has rules of its own

    def enough(self) -> Enough | None:
        """How many updates end a round early; None: only all of them do."""
        return None if self.close_after is None else Enough.parse(self.close_after)

    def plan(self) -> Plan:
        """The training that every round asks for."""
        return Plan(
            local_steps=self.local_steps,
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            proximal=self.proximal,
            clip_norm=self.clip_norm,
            codec=self.codec,
            seed=self.seed,
        )
