"""Which devices are there, by their births and wills."""

from fedge.messages import DeviceState, Presence
from fedge.types import DeviceId

MAX_DEVICES = 100_000  # more names than that are an attack on our memory


class Fleet:
    """The devices that are online, each with the instance that said so."""

    def __init__(self) -> None:
        self._instances: dict[DeviceId, bytes] = {}

    @property
    def online(self) -> frozenset[DeviceId]:
        return frozenset(self._instances)

    def is_news(self, device: DeviceId, state: DeviceState) -> bool:
        """Whether this state, not heard yet, is of an instance that has come."""
        is_online = state.presence is Presence.ONLINE
        return is_online and self._instances.get(device) != state.instance

    def hear(self, device: DeviceId, state: DeviceState) -> bool | None:
        """Take a device's state: True if it has come, False if it has gone, None if nothing new.

        The will of an instance that another one has replaced says nothing about the device.
        """
        known = self._instances.get(device)
        if state.presence is Presence.ONLINE:
            if known is None and len(self._instances) >= MAX_DEVICES:
                return None
            self._instances[device] = state.instance
            return True if known is None else None
        if known != state.instance:
            return None
        del self._instances[device]
        return False

    def clear(self) -> None:
        """Forget everybody: the broker is about to say again who is there."""
        self._instances.clear()
