"""The settings of `fedge broker`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

from fedge.config.common import LogLevel
from fedge.config.fields import check, setting, within

BrokerKind: TypeAlias = Literal["auto", "mosquitto", "iotcore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerConfig:
    """What a broker for a bench or a demo needs to know; `settings.load` reads it."""

    section: ClassVar[str] = "broker"

    host: str = setting("127.0.0.1", about="loopback address to listen on")
    port: int = setting(1883, rule=within(0, 65_535), about="port to listen on; 0: a free one")
    kind: BrokerKind = setting("auto", about="program to run; auto: mosquitto, else iotcore")
    mqtt: Literal["5", "3.1.1"] = setting(
        "5", about="version that iotcore speaks on its one port; mosquitto speaks both"
    )
    state_dir: Path | None = setting(
        None, about="folder to keep retained messages in over restarts (mosquitto)"
    )
    log_level: LogLevel = setting("info", about="how much to log")

    def __post_init__(self) -> None:
        check(self)
