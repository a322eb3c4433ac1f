"""ByzFL's and Flower's rules for arrays, without the rest of those packages and what it needs.

`pip install --no-deps byzfl==0.0.11 flwr==1.41.0` is enough, beside NumPy, SciPy and torch.
"""

import importlib
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

HOW = "pip install --no-deps byzfl==0.0.11 flwr==1.41.0; pip install scipy torch"


def byzfl() -> Any:
    """ByzFL's aggregators and pre-aggregators, by their names.

    Its package imports torchvision and more, which these do not need; so its own `__init__` does
    not run.
    """
    spec = _found("byzfl")
    package = ModuleType("byzfl")
    package.__spec__, package.__path__ = spec, list(spec.submodule_search_locations or [])
    sys.modules["byzfl"] = package
    rules = importlib.import_module("byzfl.aggregators.aggregators")
    before = importlib.import_module("byzfl.aggregators.preaggregators")
    return SimpleNamespace(**{**vars(rules), **vars(before)})


def byzfl_converged(name: str) -> Any:
    """CAF or SMEA of ByzFL with 1000 steps of its power iteration instead of one.

    As it comes, one step from a random vector stands for the first eigenvector, so that no two
    calls need give the same.
    """
    path = Path(_found("byzfl.aggregators.aggregators").origin or "")
    source = path.read_text()
    assert source.count("max_iters=1)") == 2
    changed: dict[str, Any] = {}
    exec(compile(source.replace("max_iters=1)", "max_iters=1000)"), str(path), "exec"), changed)  # noqa: S102 - their code
    return changed[name]


def flower(name: str) -> Callable[..., Any]:
    """A function of Flower's `server.strategy.aggregate`, which needs only names of types."""
    root = Path(next(iter(_found("flwr").submodule_search_locations or [])))
    stubs = {
        "flwr": {},
        "flwr.common": dict.fromkeys(("FitRes", "NDArray", "NDArrays"), object),
        "flwr.server": {},
        "flwr.server.client_proxy": {"ClientProxy": object},
    }
    stubs["flwr.common"]["parameters_to_ndarrays"] = object
    kept = {key: sys.modules.get(key) for key in stubs}
    for key, names in stubs.items():
        sys.modules[key] = ModuleType(key)
        vars(sys.modules[key]).update(names)
    try:
        spec = spec_from_file_location("flower_rules", root / "server/strategy/aggregate.py")
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        for key, old in kept.items():
            if old is None:
                del sys.modules[key]
            else:
                sys.modules[key] = old
    return getattr(module, name)  # type: ignore[no-any-return] # a function


def _found(name: str) -> ModuleSpec:
    spec = find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"{name} is not installed: {HOW}")
    return spec
