"""Topics and bytes over MQTT; this room does not know what the bytes mean."""

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
