"""Federated learning for devices: train locally, send small updates, aggregate over MQTT.

The names below load their modules on first use, so that `import fedge` costs
nothing and a device never loads what only an aggregator or a builder needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fedge.version import __version__  # noqa: F401 - where people look for it

if TYPE_CHECKING:
    from fedge import codecs as codecs
    from fedge import errors as errors
    from fedge import strategies as strategies
    from fedge.aggregator import Aggregator as Aggregator
    from fedge.artifact import Artifact as Artifact
    from fedge.artifact import load_artifact as load_artifact
    from fedge.builder import build_artifact as build_artifact
    from fedge.config.aggregator import AggregatorConfig as AggregatorConfig
    from fedge.config.device import DeviceConfig as DeviceConfig
    from fedge.device import Device as Device
    from fedge.training import Plan as Plan
    from fedge.training import Trainer as Trainer
    from fedge.types import Update as Update

__all__ = [
    "Aggregator",
    "AggregatorConfig",
    "Artifact",
    "Device",
    "DeviceConfig",
    "Plan",
    "Trainer",
    "Update",
    "build_artifact",
    "codecs",
    "errors",
    "load_artifact",
    "strategies",
]

_MODULES = {
    "Aggregator": "fedge.aggregator",
    "AggregatorConfig": "fedge.config.aggregator",
    "Artifact": "fedge.artifact",
    "Device": "fedge.device",
    "DeviceConfig": "fedge.config.device",
    "Plan": "fedge.training",
    "Trainer": "fedge.training",
    "Update": "fedge.types",
    "build_artifact": "fedge.builder",
    "load_artifact": "fedge.artifact",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = getattr(import_module(_MODULES[name]), name)
    elif name in __all__:
        value = import_module(f"fedge.{name}")
    else:
        raise AttributeError(f"module 'fedge' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
