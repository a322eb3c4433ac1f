"""No more memory than there is: a process that asks for more is told, and can say so.

Linux grants memory it does not have, and when it is used kills a process without a word. On a
board that is this one. With a limit the same request fails where it is made.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedge.errors import FedgeError

# Of what is free at the start: for the code of this process, which is read from the card again
# and again where nothing holds it in memory, and for what the system has to do meanwhile.
_KEPT_BYTES = 40 << 20
_LEAST_BYTES = 16 << 20  # with less than this nothing is worth a try, and nothing is limited


@contextmanager
def within_memory() -> Iterator[None]:
    """Limit this process to what is free now; what does not fit inside becomes a sentence.

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
    """A MemoryError inside says what there was no room for."""
    try:
        yield
    except MemoryError:
        raise MemoryError(f"no room for {what}") from None


def _limit(more_bytes: int) -> None:
    """What this process has, and so much more; a lower limit that somebody else set stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    has_bytes = _read("/proc/self/status", "VmData:") or 0
    wanted = has_bytes + more_bytes
    if wanted < (soft if soft != resource.RLIM_INFINITY else wanted + 1):
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def _free_bytes() -> int | None:
    """What can be had without swapping, as the kernel sees it; None where it does not say."""
    return _read("/proc/meminfo", "MemAvailable:")


def _read(file: str, name: str) -> int | None:
    try:
        text = Path(file).read_text()
        return int(text.split(name)[1].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        return None
