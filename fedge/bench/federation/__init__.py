"""A federation in one process: the product's own parts on both ends, without a network."""

from fedge.bench.federation.adversary import Adversary, Forged, View
from fedge.bench.federation.engine import Federation, Point

__all__ = ["Adversary", "Federation", "Forged", "Point", "View"]
