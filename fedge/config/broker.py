"""The settings of `fedge broker`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fedge.config.common import LogLevel, Process
from fedge.config.fields import check
from fedge.setting import setting, setting_of, within
from fedge.transport.client import Version
from fedge.transport.programs import AnyKind
from fedge.transport.url import LOOPBACK, PORT


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerConfig:
    """What a broker for a benchmark or a demo needs to know; `settings.load` reads it."""

    section: ClassVar[str] = "broker"

    host: str = setting(LOOPBACK, about="loopback address to listen on")
    port: int = setting(PORT, rule=within(0, 65_535), about="port to listen on; 0: a free one")
    kind: AnyKind = setting(
        "auto", about="program to run; auto: mosquitto, or iotcore where there is no mosquitto"
    )
    mqtt: Version = setting(
        "5", about="MQTT version that iotcore speaks on its one port; mosquitto speaks both"
    )
    state_dir: Path | None = setting(
        None, about="folder in which retained messages survive a restart (mosquitto only)"
    )
    log_level: LogLevel = setting_of(Process, "log_level")

    def __post_init__(self) -> None:
        check(self)
