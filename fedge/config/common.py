"""Rules and defaults that several configurations share."""

import re
import socket
from typing import Literal, TypeAlias

from fedge.config.fields import Rule
from fedge.messages.topics import is_name

MqttVersion: TypeAlias = Literal["auto", "5", "3.1.1"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]

BROKER_URL = "mqtt://127.0.0.1:1883"
NAME = Rule("1 to 64 of A-Z a-z 0-9 _ -", is_name)


def host_id() -> str:
    """This machine's name, with every character that an id may not have made a dash."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:64] or "device"
