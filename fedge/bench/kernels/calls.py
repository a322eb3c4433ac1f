"""What a piece of work asks of the kernels: every call with what went in and what came out.

So the figures of another machine, or of an emulated one, are for the very same calls.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fedge import _kernels
from fedge._kernels import reference
from fedge.errors import ConfigError
from fedge.types import Array

# What a kernel's work grows with: an argument, and what one entry of it is called. A kernel that
# is not here is counted by its longest array of float32.
_UNITS = {
    "pack": ("indices", "kept value"),
    "pack_context": ("indices", "kept value"),
    "quantise_kept": ("indices", "kept value"),
    "unpack": ("indices", "kept value"),
    "unpack_context": ("indices", "kept value"),
    "draw_mask": ("indices", "kept value"),
    "scatter_add_stream": ("n_kept", "kept value"),
    "scatter_add_context": ("n_kept", "kept value"),
    "fill_range_stream": ("n_kept", "kept value"),
    "fill_range_context": ("n_kept", "kept value"),
    "draw_mask_range": ("indices", "kept value"),
    "robust_tile": ("rows", "value"),
    "present_tile": ("rows", "value"),
    "nearest_tile": ("rows", "value"),
    "centre_tile": ("rows", "value"),
    "gram_tile": ("rows", "value"),
    "mix_tile": ("rows", "value"),
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a kernel.

    Attributes:
        kernel: its name.
        before: its arguments by name, arrays as they were.
        after: the arrays as the kernel left them.
        result: what it gave.
    """

    kernel: str
    before: Mapping[str, Any]
    after: Mapping[str, Array]
    result: object

    def arguments(self) -> list[Any]:
        """To call it once more: arrays are new."""
        return [
            value.copy() if isinstance(value, np.ndarray) else value
            for value in self.before.values()
        ]

    def size(self) -> tuple[int, str]:
        """How many of what it worked on."""
        name, unit = _UNITS.get(self.kernel, ("", "parameter"))
        if not name:
            return max(array.size for array in self._floats()), unit
        value = self.before[name]
        return (value.size if isinstance(value, np.ndarray) else int(value)), unit

    def _floats(self) -> Iterator[Array]:
        for value in self.before.values():
            if isinstance(value, np.ndarray) and value.dtype == np.float32:
                yield value


def again(function: Callable[..., object], call: Call) -> Callable[[], object]:
    """The same call of a kernel or of its twin, ready to be made."""
    return partial(function, *call.arguments())


def kernel(name: str) -> Callable[..., object]:
    """The compiled kernel of this name."""
    found: Callable[..., object] = getattr(_kernels, name)
    return found


def twin(name: str) -> Callable[..., object]:
    """The plain one, in NumPy, of the same name and arguments."""
    found: Callable[..., object] = getattr(reference, name)
    return found


def check_names(names: Sequence[str]) -> None:
    """Refuse what is no kernel's name.

    Raises:
        ConfigError: with the names there are.
    """
    for name in names:
        if name not in _kernels.__all__:
            raise ConfigError(
                f"there is no kernel {name!r}: choose from {', '.join(_kernels.__all__)}"
            )


def record(work: Callable[[], object]) -> list[Call]:
    """Does a piece of work and returns its calls of kernels, in order."""
    calls: list[Call] = []
    with _listening(calls):
        work()
    return calls


@contextmanager
def _listening(calls: list[Call]) -> Iterator[None]:
    kernels = {name: getattr(_kernels, name) for name in _kernels.__all__}
    try:
        for name, kernel in kernels.items():
            setattr(_kernels, name, _recorder(name, kernel, calls))
        yield
    finally:
        for name, kernel in kernels.items():
            setattr(_kernels, name, kernel)


def _recorder(name: str, kernel: Callable[..., Any], calls: list[Call]) -> Callable[..., Any]:
    signature = inspect.signature(twin(name))

    def call(*args: Any, **keywords: Any) -> object:
        given = signature.bind(*args, **keywords).arguments
        before = {key: _kept(value) for key, value in given.items()}
        result = kernel(*args, **keywords)
        after = {key: _kept(given[key]) for key, value in before.items() if _is_array(value)}
        calls.append(Call(name, before, after, result))
        return result

    return call


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray)


def _kept(value: Any) -> Any:
    """A copy of what an array holds, whatever kind of buffer it is."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, bytes | bytearray | memoryview):
        return np.frombuffer(bytes(value), np.uint8)
    return value
