"""The way down: which model devices hold, and what they fetch to get it."""

from dataclasses import dataclass, field

from fedge import codecs
from fedge.aggregator.models.broadcast import Broadcaster
from fedge.aggregator.models.catch_up import KEPT, bundles
from fedge.codecs import Stamp
from fedge.types import Vector


@dataclass(slots=True, kw_only=True)
class Downlink:
    """The aggregator's broadcasts, and which of them each device has seen.

    The first model comes with the artifact and costs nothing.

    Attributes:
        held: what devices train from, float32 (n_params,).
    """

    codec: str
    n_trainable: int
    seed: int
    held: Vector
    _version: int = 0
    _broadcasts: list[bytes] = field(default_factory=list)  # to the current one, without a gap
    _has: dict[int, int] = field(default_factory=dict)

    def catch_up(self, device: int) -> int:
        """Bytes that a device fetches before it trains: broadcasts it missed, or the model."""
        missed = self._version - self._has.get(device, 0)
        self._has[device] = self._version
        if missed == 0:
            return 0
        whole = 4 * self.held.size
        for bundle in bundles(self._broadcasts, whole):
            if bundle.entry.n_rounds >= missed:
                return len(bundle.data)
        return whole

    def publish(self, parameters: Vector, stamp: Stamp) -> None:
        """Make the next model known."""
        broadcaster = Broadcaster(codecs.get(self.codec), self.n_trainable)
        made = broadcaster.broadcast(parameters, self.held, stamp, self.seed)
        self.held = made.held
        self._version += 1
        kept = [] if made.payload is None else [*self._broadcasts, made.payload]
        self._broadcasts = kept[-KEPT:]
