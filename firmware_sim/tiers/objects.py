"""The small part of Python that a kernel uses: integers, None, tuples, and no errors.

An object is an address; its value is stored here. The stable interface guarantees that code reads
only an object's reference count and its type.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

_SLOT = 64
_REFERENCES = 1 << 20  # so many that the count never drops to 0
_CONSTANTS = {"_Py_TrueStruct": True, "_Py_FalseStruct": False, "_Py_NoneStruct": None}
_IS_LONG = 1 << 24  # of a type's flags
_LESS = 0  # of the comparisons


class Caller(Protocol):
    """The processor whose code makes the calls."""

    def argument(self, number: int) -> int: ...  # a signed integer
    def write_word(self, address: int, value: int) -> None: ...


class Objects:
    """All objects of one run.

    Args:
        caller: the processor that makes the calls.
        names: addresses of what the library uses from Python.
        place: the address of the first object.
    """

    def __init__(self, caller: Caller, names: Mapping[str, int], place: int, word: int) -> None:
        self._caller, self._names, self._next, self._word = caller, names, place, word
        self._values: dict[int, object] = {}
        for name, value in _CONSTANTS.items():
            if name in names:
                self._values[names[name]] = value
                self._begin(names[name])

    def made(self, value: object) -> int:
        """The address of a new object with this value."""
        for name, constant in _CONSTANTS.items():
            if value is constant and name in self._names:
                return self._names[name]
        address, self._next = self._next, self._next + _SLOT
        self._values[address] = value
        self._begin(address)
        return address

    def value(self, address: int) -> object:
        """The value of the object at an address.

        Raises:
            LookupError: if there is no object there.
        """
        value = self._values[address]
        return tuple(self.value(item) for item in value) if isinstance(value, list) else value

    def answer(self, name: str) -> int | None:
        """The result of a Python function; None if a kernel may not call it."""
        known: Mapping[str, Callable[[], int]] = {
            "PyEval_SaveThread": lambda: 1,
            "PyEval_RestoreThread": lambda: 0,
            "PyErr_Occurred": lambda: 0,
            "PyLong_FromSsize_t": self._number,
            "PyLong_FromLong": self._number,
            "PyLong_AsLong": self._as_number,
            "PyLong_AsUnsignedLong": self._as_number,
            "PyType_GetFlags": lambda: _IS_LONG,  # of the only type ever queried
            "PyObject_RichCompareBool": self._is_less,
            "PyTuple_New": self._tuple,
            "PyTuple_SetItem": self._set_item,
        }
        return known[name]() if name in known else None

    def _begin(self, address: int) -> None:
        self._caller.write_word(address, _REFERENCES)
        self._caller.write_word(address + self._word, self._names.get("PyLong_Type", 0))

    def _number(self) -> int:
        return self.made(self._caller.argument(0))

    def _as_number(self) -> int:
        return self._whole(self._caller.argument(0))

    def _is_less(self) -> int:
        first, second, how = (self._caller.argument(number) for number in range(3))
        if how != _LESS:
            raise LookupError(f"a comparison of kind {how}")
        return self._whole(first) < self._whole(second)

    def _whole(self, address: int) -> int:
        value = self.value(address)
        if isinstance(value, int):
            return value
        raise LookupError(f"{value!r} where a whole number belongs")

    def _tuple(self) -> int:
        return self.made([0] * self._caller.argument(0))

    def _set_item(self) -> int:
        items = self._values[self._caller.argument(0)]
        assert isinstance(items, list)  # noqa: S101 - only tuples are built this way
        items[self._caller.argument(1)] = self._caller.argument(2)
        return 0
