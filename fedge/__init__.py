"""Federated learning for devices: train locally, send small updates, aggregate over MQTT.

The names below load their modules on first use, so that `import fedge` costs
nothing and a device never loads what only an aggregator or a builder needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedge.aggregator import Aggregator as Aggregator
    from fedge.artifact import Artifact as Artifact
    from fedge.build import build_artifact as build_artifact
    from fedge.build import load_artifact as load_artifact
    from fedge.device import Device as Device
    from fedge.training import Plan as Plan
    from fedge.training import Trainer as Trainer
    from fedge.types import Update as Update

__version__ = "0.1.0"
