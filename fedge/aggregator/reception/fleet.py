"""Which devices are online for the job, judged by their births and wills, and by their silence.

A retained birth does not prove that a device is alive: if it lost power together with the
broker, no will was published. So a device that lets several rounds in a row pass without a
sign of life is no longer waited for, until it is heard from again.
"""

from collections.abc import Collection, Mapping

from fedge.messages import DeviceState, Presence
from fedge.types import DeviceId, JobId


class Fleet:
    """The devices that are online for this job, each with the instance that said so.

    Args:
        job: the job; a device that names another one does not count as online.
        missed: how many rounds in a row each silent device has missed so far.
        patience: how many rounds a silent device may miss before it is no longer waited for.
        most: the most devices; more names are an attack, or need a larger setting.

    Attributes:
        missed: as above, kept up to date.
        n_crowded_out: births ignored because there were too many devices.
    """

    def __init__(
        self, job: JobId, missed: Mapping[DeviceId, int], *, patience: int, most: int
    ) -> None:
        self._job, self._patience, self._most = job, patience, most
        self._instances: dict[DeviceId, bytes] = {}
        self._online: set[DeviceId] = set()  # those of them that are not silent
        self.missed = dict(missed)
        self._kept = dict(missed)
        self.n_crowded_out = 0

    @property
    def online(self) -> frozenset[DeviceId]:
        """Devices that can be expected to answer."""
        return frozenset(self._online)

    @property
    def n_online(self) -> int:
        return len(self._online)

    def is_silent(self, device: DeviceId) -> bool:
        """Whether it has missed so many rounds that it is no longer waited for."""
        return self.missed.get(device, 0) >= self._patience

    def is_news(self, device: DeviceId, state: DeviceState) -> bool:
        """Whether this state announces an instance for this job that is not known yet."""
        is_ours = state.presence is Presence.ONLINE and state.job in (None, self._job)
        return is_ours and self._instances.get(device) != state.instance

    def hear(self, device: DeviceId, state: DeviceState) -> bool | None:
        """Take a device's state: True if it is online, False if it has gone, None if neither.

        The will of an instance that was replaced by another says nothing about the device.
        """
        known = self._instances.get(device)
        if state.job not in (None, self._job):
            return self.drop(device)
        if state.presence is Presence.ONLINE:
            if known is None and len(self._instances) >= self._most:
                self.n_crowded_out += 1
                return None
            self._instances[device] = state.instance
            if self.is_silent(device):
                return None
            self._online.add(device)
            return True
        if known not in (None, state.instance):
            return None
        return self.drop(device)

    def drop(self, device: DeviceId) -> bool:
        """Its state was cleared, or says that it has gone: False, as `hear` would say."""
        self._instances.pop(device, None)
        self._online.discard(device)
        return False

    def notice(self, device: DeviceId) -> bool:
        """A sign of life; whether a device that was no longer waited for is back."""
        was_silent = self.is_silent(device)
        self.missed.pop(device, None)
        is_back = was_silent and device in self._instances
        if is_back:
            self._online.add(device)
        return is_back

    def miss(self, devices: Collection[DeviceId]) -> frozenset[DeviceId]:
        """Count a silent round for these devices; those that are not waited for from now on."""
        for device in devices:
            self.missed[device] = self.missed.get(device, 0) + 1
        silent = frozenset(filter(self.is_silent, devices))
        self._online -= silent
        return silent

    def has_changed(self) -> bool:
        """Whether `missed` has changed since this was last called, and should be stored again."""
        has_changed, self._kept = self.missed != self._kept, dict(self.missed)
        return has_changed

    def clear(self) -> None:
        """Forget all devices: the broker is about to repeat who is online."""
        self._instances.clear()
        self._online.clear()
