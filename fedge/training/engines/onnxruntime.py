"""The first engine; the only place that loads onnxruntime."""

import functools
import importlib
import os
import sys
import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from fedge.errors import ArtifactError, ConfigError, TrainingError
from fedge.training.engines.protocol import Shape, check_values, first_line
from fedge.types import Array

# onnxruntime's names for NumPy's types, where they differ.
_TYPES = {
    "float32": "float",
    "float64": "double",
    "float16": "float16",
    "bool": "bool",
    **{name: name for name in ("int8", "uint8", "int16", "int32", "int64")},
}
_TELEMETRY = "ORT_DISABLE_TELEMETRY"


class OnnxRuntime:
    """One graph on onnxruntime, with inputs and outputs bound once to the caller's arrays.

    Raises:
        ArtifactError: if the graph cannot be loaded or has other inputs and outputs.
        ConfigError: if onnxruntime was loaded with its telemetry on.
        MemoryError: if there is too little memory for it, here and in `run`.
    """

    def __init__(
        self,
        graph: bytes,
        inputs: Mapping[str, Array],
        outputs: Mapping[str, Array],
        *,
        threads: int,
    ) -> None:
        runtime = onnxruntime()
        try:
            self._session = runtime.InferenceSession(
                graph, _options(runtime, threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions share no narrower base class
            _check_memory(error)
            raise ArtifactError(
                "graph", expected="one onnxruntime can load", found=first_line(error)
            ) from None
        check_values("inputs", _shapes(self._session.get_inputs()), inputs)
        check_values("outputs", _shapes(self._session.get_outputs()), outputs)
        _check_types(self._session.get_inputs(), inputs)
        _check_types(self._session.get_outputs(), outputs)
        self._binding = self._session.io_binding()
        share = runtime.OrtValue.ortvalue_from_numpy  # on a CPU it shares the memory, no copy
        for name, array in inputs.items():
            self._binding.bind_ortvalue_input(name, share(array))
        for name, array in outputs.items():
            self._binding.bind_ortvalue_output(name, share(array))

    def run(self) -> None:
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:
            _check_memory(error)
            raise TrainingError(f"the graph failed: {first_line(error)}") from None


@functools.cache
def onnxruntime() -> ModuleType:
    """The onnxruntime package, loaded on first use with its telemetry off.

    Since 1.29 its wheels report to their vendor unless this variable is set before the import. If
    the application has already imported it, its telemetry is switched off with a warning.

    Raises:
        ConfigError: if it was imported before and cannot be switched off.
    """
    if "onnxruntime" in sys.modules and os.environ.get(_TELEMETRY) != "1":
        _silence(sys.modules["onnxruntime"])
    os.environ[_TELEMETRY] = "1"
    return importlib.import_module("onnxruntime")


def _silence(runtime: ModuleType) -> None:
    problem = (
        f"onnxruntime was imported with telemetry on: set {_TELEMETRY}=1 before, or import it"
        " after fedge has loaded it"
    )
    if not hasattr(runtime, "disable_telemetry_events"):
        raise ConfigError(problem)
    runtime.disable_telemetry_events()
    warnings.warn(f"{problem}; it is off from now on", stacklevel=3)


def _check_memory(error: Exception) -> None:
    """onnxruntime has no exception type for this, only a message."""
    if any(words in str(error) for words in ("Failed to allocate memory", "bad_alloc")):
        raise MemoryError("onnxruntime found no memory for a tensor") from None


def _options(runtime: ModuleType, threads: int) -> object:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # halves the peak memory of a training step, at equal speed
    options.log_severity_level = 4  # errors arrive as exceptions; reporting them once is enough
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning costs power
    return options


def _check_types(values: list[Any], buffers: Mapping[str, Array]) -> None:
    for value in values:
        expected = f"tensor({_TYPES.get(buffers[value.name].dtype.name, '?')})"
        if value.type != expected:
            raise ArtifactError(
                f"type of {value.name} in graph", expected=expected, found=value.type
            )


def _shapes(values: list[object]) -> dict[str, Shape]:
    return {value.name: tuple(value.shape) for value in values}  # type: ignore[attr-defined]
