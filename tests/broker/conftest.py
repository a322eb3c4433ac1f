"""Brokers as fixtures."""

from tests.support.broker import any_broker, mosquitto, old_broker

__all__ = ["any_broker", "mosquitto", "old_broker"]
