"""The settings of a device."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fedge.codecs.budget import LEAST_BUDGET
from fedge.config.common import NAME, LogLevel, MqttVersion, Process, host_id
from fedge.config.fields import check
from fedge.setting import at_least, setting, setting_of, within
from fedge.training.engines import EngineWish


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConfig:
    """What one device needs to know; `settings.load` reads it."""

    section: ClassVar[str] = "device"

    broker: str = setting_of(Process, "broker")
    password_file: Path | None = setting_of(Process, "password_file")
    fleet: str = setting_of(Process, "fleet")
    job: str = setting_of(Process, "job")
    id: str = setting(factory=host_id, rule=NAME, about="its name, unique in the fleet")
    data: Path | None = setting(None, about="its examples, an .npz file")
    client: str | None = setting(
        None, about="use only the examples of this client, if the file has those of several"
    )
    state_dir: Path = setting(Path("fedge-device"), about="folder for everything it keeps")
    budget_bytes: int | None = setting(
        None,
        rule=at_least(LEAST_BUDGET),
        about="size limit of one update: the device chooses how many values it sends, and how "
        "finely, to stay within it",
    )
    upload_time_s: float | None = setting(
        None,
        rule=within(0.1, 3600),
        about="how long sending an update to the broker may take: the device measures its link "
        "while it sends and sizes each update to fit, within --budget-bytes if that is given too",
    )
    threads: int = setting(1, rule=within(1, 1024), about="threads to train with")
    engine: EngineWish = setting(
        "auto",
        about="what trains; auto: onnxruntime, or where there is none the reference engine, which "
        "is several times slower and says so",
    )
    connect_timeout_s: float = setting_of(Process, "connect_timeout_s")
    exit_when_finished: bool = setting(default=False, about="exit once the job is finished")
    mqtt: MqttVersion = setting_of(Process, "mqtt")
    ca_file: Path | None = setting_of(Process, "ca_file")
    log_level: LogLevel = setting_of(Process, "log_level")

    def __post_init__(self) -> None:
        check(self)
