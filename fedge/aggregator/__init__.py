"""The broker-side service: rounds, models, and what devices need for them."""

from fedge.aggregator.aggregator import Aggregator
from fedge.aggregator.clock import Clock
from fedge.aggregator.state.registry import Registry, open_registry

__all__ = ["Aggregator", "Clock", "Registry", "open_registry"]
