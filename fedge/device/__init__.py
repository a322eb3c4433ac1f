"""A device: waits for rounds, trains on its own data, sends what it learned."""

from fedge.device.device import Device

__all__ = ["Device"]
