"""Brokers as fixtures."""

from tests.support.broker import amqtt, any_broker, mosquitto

__all__ = ["amqtt", "any_broker", "mosquitto"]
