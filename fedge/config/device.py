"""The settings of a device."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fedge.config.common import BROKER_URL, NAME, LogLevel, MqttVersion, host_id
from fedge.config.fields import at_least, check, setting, within
from fedge.training.engines import EngineWish


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConfig:
    """What one device needs to know; `settings.load` reads it."""

    section: ClassVar[str] = "device"

    broker: str = setting(
        BROKER_URL,
        is_secret=True,
        about="where the broker is, mqtt:// or mqtts://, in a WebSocket ws:// or wss://",
    )
    password_file: Path | None = setting(
        None, about="file with the password of the user that the broker's URL names"
    )
    fleet: str = setting("default", rule=NAME, about="the fleet it belongs to")
    job: str = setting("default", rule=NAME, about="the job it trains for")
    id: str = setting(factory=host_id, rule=NAME, about="its name, its own in the fleet")
    data: Path | None = setting(None, about="its examples, an .npz file")
    client: str | None = setting(None, about="take only this client's examples of the file")
    state_dir: Path = setting(Path("fedge-device"), about="folder for all it keeps")
    budget_bytes: int | None = setting(
        None,
        rule=at_least(64),
        about="most bytes of one update: the device then picks how many values, and how finely",
    )
    upload_time_s: float | None = setting(
        None,
        rule=within(0.1, 3600),
        about="how long an update may take to the broker: the device measures its link by what it "
        "sends and fits the size of each update to it, within --budget-bytes if that is given too",
    )
    threads: int = setting(1, rule=within(1, 1024), about="threads to train with")
    engine: EngineWish = setting(
        "auto",
        about="what trains; auto: onnxruntime, or where there is none the reference, which is "
        "several times slower and says so",
    )
    connect_timeout_s: float = setting(
        60.0, rule=at_least(0), about="give up when the broker never answered for so long; 0: never"
    )
    exit_when_finished: bool = setting(default=False, about="end when the job is finished")
    mqtt: MqttVersion = setting("auto", about="MQTT version; auto: 5, else 3.1.1")
    ca_file: Path | None = setting(
        None, about="certificates to trust with mqtts:// and wss://, PEM"
    )
    log_level: LogLevel = setting("info", about="how much to log")

    def __post_init__(self) -> None:
        check(self)
