"""Rules and settings that several configurations share, each written once."""

import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from fedge.messages.topics import is_name
from fedge.setting import Rule, at_least, setting
from fedge.transport.url import LOOPBACK, PORT

MqttVersion: TypeAlias = Literal["auto", "5", "3.1.1"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]

NAME = Rule("1 to 64 of A-Z a-z 0-9 _ -", is_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What every process that goes to a broker needs to know; configurations take it over."""

    broker: str = setting(
        f"mqtt://{LOOPBACK}:{PORT}",
        is_secret=True,
        about="URL of the broker: mqtt:// or mqtts://, or ws:// or wss:// for WebSockets",
    )
    password_file: Path | None = setting(
        None, about="file with the password of the user named in the broker's URL"
    )
    fleet: str = setting("default", rule=NAME, about="name of the fleet")
    job: str = setting("default", rule=NAME, about="name of the job")
    connect_timeout_s: float = setting(
        60.0,
        rule=at_least(0),
        about="give up if the broker has not answered by then; 0: never give up",
    )
    mqtt: MqttVersion = setting("auto", about="MQTT version; auto: 5, or 3.1.1 where 5 is refused")
    ca_file: Path | None = setting(
        None, about="certificates to trust for mqtts:// and wss://, in PEM format"
    )
    log_level: LogLevel = setting("info", about="how much to log")


def host_id() -> str:
    """This machine's name, with every character that an id may not have made a dash."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:64] or "device"
