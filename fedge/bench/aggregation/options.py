"""What `fedge bench aggregation` measures."""

from dataclasses import dataclass

from fedge.setting import default_of
from fedge.training import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is measured.

    Attributes:
        sizes: numbers of devices.
        n_updates: rounds follow each other until there have been this many.
        codec: of the updates; the default makes them about 600 bytes.
        broker: one of OWN_BROKERS, or the mqtt:// URL of one that is running.
    """

    sizes: tuple[int, ...] = (1_000, 10_000, 60_000)
    n_updates: int = 20_000
    codec: str = default_of(Plan, "codec")
    broker: str = "auto"
