"""Which engine trains: the one asked for, or the best available, with a note saying which."""

from dataclasses import dataclass
from typing import Literal, get_args

from fedge.errors import MissingDependencyError
from fedge.training.engines.protocol import Opener

EngineName = Literal["onnxruntime", "reference"]
EngineWish = Literal["auto", "onnxruntime", "reference"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine that loads, and one sentence that the user should see about it."""

    name: EngineName
    note: str | None = None


def choose(wanted: EngineWish) -> Choice:
    """The engine asked for; for "auto" onnxruntime, or the reference if it is not available.

    Raises:
        MissingDependencyError: if it cannot be loaded here.
        MemoryError: if there is too little memory to load it.
        ConfigError: if onnxruntime was loaded with its telemetry on.
    """
    if wanted != "auto":
        load(wanted)
        return Choice(wanted)
    missing = _missing("onnxruntime")
    if missing is None:
        return Choice("onnxruntime")
    also_missing = _missing("reference")
    if also_missing is not None:
        raise MissingDependencyError(
            f"nothing to train with: no onnxruntime ({missing}) and no onnx ({also_missing}):"
            " pip install onnxruntime, or 'fedge[reference]' where there is none"
        )
    return Choice(
        "reference",
        f"onnxruntime is not available ({missing}): training on the reference engine, in NumPy;"
        " a step takes about ten times as long (docs/engines.md)",
    )


def load(name: EngineName) -> Opener:
    """An engine by its name.

    Raises:
        MissingDependencyError: if its package is not installed or does not load.
        ConfigError: if onnxruntime was loaded with its telemetry on.
    """
    try:
        return _import(name)
    except ImportError as error:
        _check_memory(error)
        advice = {
            "onnxruntime": "pip install onnxruntime, or use the reference engine",
            "reference": "pip install 'fedge[reference]', or Debian's python3-onnx",
        }
        raise MissingDependencyError(
            f"the engine {name} cannot be loaded ({error}): {advice[name]}"
        ) from None


def _missing(name: EngineName) -> str | None:
    """Why an engine cannot be loaded; None if it can."""
    try:
        _import(name)
    except ImportError as error:
        _check_memory(error)
        return str(error)
    return None


def _check_memory(error: ImportError) -> None:
    """A library that does not fit into memory is not a missing library."""
    words = ("failed to map segment", "cannot allocate memory", "cannot apply additional memory")
    if any(each in str(error).lower() for each in words):
        raise MemoryError(f"not enough memory to load a library: {error}") from None


def _import(name: EngineName) -> Opener:
    """Imports only the engine that was asked for."""
    match name:
        case "onnxruntime":
            from fedge.training.engines.onnxruntime import OnnxRuntime, onnxruntime  # noqa: PLC0415

            onnxruntime()
            return OnnxRuntime
        case "reference":
            from fedge.training.engines.reference import Reference  # noqa: PLC0415

            return Reference
