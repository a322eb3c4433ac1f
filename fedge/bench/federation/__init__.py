"""A federation in one process, of the product's own parts, and how accurate each method is in it.

The names below load their modules on first use, so that `fedge bench` knows its choices and stays
small. The tasks need the extra `bench` (onnx, to make their networks); a federation does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedge.bench.federation.adversary import Adversary as Adversary
    from fedge.bench.federation.adversary import Forged as Forged
    from fedge.bench.federation.adversary import View as View
    from fedge.bench.federation.engine import Federation as Federation
    from fedge.bench.federation.engine import Point as Point

__all__ = ["Adversary", "Federation", "Forged", "Point", "View"]

_MODULES = dict.fromkeys(("Adversary", "Forged", "View"), "fedge.bench.federation.adversary")
_MODULES |= dict.fromkeys(("Federation", "Point"), "fedge.bench.federation.engine")


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value
