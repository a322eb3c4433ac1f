"""Topics and bytes over MQTT; what the bytes mean is not known here."""

from fedge.transport.base import (
    Connected,
    Disconnected,
    Event,
    Message,
    Traffic,
    Transport,
    Undelivered,
)

__all__ = [
    "Connected",
    "Disconnected",
    "Event",
    "Message",
    "Traffic",
    "Transport",
    "Undelivered",
]
