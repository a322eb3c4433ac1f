"""No more memory than there is: a process that asks for more gets an error, and can report it.

Linux grants memory it does not have, and when that is used it kills a process without a word. On
a board, that process is this one. With a limit, the request itself fails.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedge.errors import FedgeError

# Share of the memory free at the start that is left: for this process's code, which would be read
# from the card again and again if nothing kept it in memory, and for the rest of the system.
_KEPT_BYTES = 40 << 20
_LEAST_BYTES = 16 << 20  # with less than this it is not worth trying, and nothing is limited


@contextmanager
def within_memory() -> Iterator[None]:
    """Limit this process to the memory free now; running out of it becomes a readable error.

    Raises:
        FedgeError: instead of a MemoryError.
    """
    free_bytes = _free_bytes()
    if free_bytes is not None and free_bytes > _KEPT_BYTES + _LEAST_BYTES:
        _limit(free_bytes - _KEPT_BYTES)
    try:
        yield
    except MemoryError as error:
        was_free = "" if free_bytes is None else f"; {free_bytes >> 20} MiB were free at the start"
        reason = str(error) or "no room for an object"
        raise FedgeError(
            f"this machine has too little memory for the job ({reason}{was_free}): "
            "give the job a smaller model, or the machine fewer other tasks"
        ) from None


@contextmanager
def making(what: str) -> Iterator[None]:
    """A MemoryError raised inside says what there was no room for."""
    try:
        yield
    except MemoryError:
        raise MemoryError(f"no room for {what}") from None


def _limit(more_bytes: int) -> None:
    """Limit the process to what it has plus this; a lower limit set by somebody else stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    has_bytes = _read("/proc/self/status", "VmData:") or 0
    wanted = has_bytes + more_bytes
    if wanted < (soft if soft != resource.RLIM_INFINITY else wanted + 1):
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def _free_bytes() -> int | None:
    """Memory available without swapping, by the kernel's estimate; None if it gives none."""
    return _read("/proc/meminfo", "MemAvailable:")


def _read(file: str, name: str) -> int | None:
    try:
        text = Path(file).read_text()
        return int(text.split(name)[1].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        return None
