"""Instructions executed by this process, from the processor's own counter.

Linux only, through perf_event_open(2). Instructions of the kernel are left out, so that a busier
system or another kernel gives the same number. Threads started after the counter are included,
earlier ones are not.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self

from fedge.errors import ConfigError

# perf_event_open has no C library function, and its number depends on the machine.
_NUMBERS = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "arm": 364, "i386": 336}
_HARDWARE, _INSTRUCTIONS = 0, 1
_TIMES = 0b11  # with each count, how long it was enabled and how long it ran
_INHERIT, _EXCLUDE_KERNEL, _EXCLUDE_HYPERVISOR = 1 << 1, 1 << 5, 1 << 6
_CLOSE_ON_EXEC = 8
# type, size, config, period, sample_type, read_format, flags, and three not used here
_ATTRIBUTES = struct.Struct("=IIQQQQQIIQ")
_READ = struct.Struct("=QQQ")


class Counter:
    """A running count; use it in `with`, or call `close`.

    Raises:
        ConfigError: if instructions cannot be counted here; the message says why and what to do.
    """

    def __init__(self) -> None:
        self._file = _open()

    def read(self) -> int:
        """Instructions since the start.

        Raises:
            ConfigError: if another program had the processor's counter part of the time.
        """
        count: int
        count, wanted_ns, ran_ns = _READ.unpack(os.read(self._file, _READ.size))
        if ran_ns != wanted_ns:
            raise ConfigError(
                "another program uses the processor's counters at the same time, so this count"
                " has a gap: end it (perf, a profiler) and run again"
            )
        return count

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def refusal() -> str | None:
    """Why instructions cannot be counted here, or None."""
    try:
        Counter().close()
    except ConfigError as error:
        return str(error)
    return None


def least(make: Callable[[], Callable[[], object]], *, repeats: int = 3) -> int:
    """Instructions of one call, the fewest of several: the first may load or allocate.

    The cost of reading the counter is measured and subtracted.

    Args:
        make: prepares a call and its inputs; not counted.
        repeats: number of calls.

    Raises:
        ConfigError: if nothing counts instructions here.
    """
    with Counter() as counter:
        own = min(_between(counter, _nothing) for _ in range(2 * repeats))
        return max(0, min(_between(counter, make()) for _ in range(repeats)) - own)


def _nothing() -> None:
    pass


def _between(counter: Counter, call: Callable[[], object]) -> int:
    before = counter.read()
    call()
    return counter.read() - before


def _open() -> int:
    number = _NUMBERS.get(_process(platform.machine(), sys.maxsize))
    if not sys.platform.startswith("linux") or number is None:
        raise ConfigError(
            f"instructions are counted on Linux only, on {', '.join(_NUMBERS)}: this is"
            f" {platform.system()} on {platform.machine()}"
        )
    flags = _INHERIT | _EXCLUDE_KERNEL | _EXCLUDE_HYPERVISOR
    wanted = _ATTRIBUTES.pack(
        _HARDWARE, _ATTRIBUTES.size, _INSTRUCTIONS, 0, 0, _TIMES, flags, 0, 0, 0
    )
    library = ctypes.CDLL(None, use_errno=True)
    # this process, on any core, in no group
    file: int = library.syscall(
        ctypes.c_long(number),
        ctypes.c_char_p(wanted),
        0,
        -1,
        -1,
        ctypes.c_ulong(_CLOSE_ON_EXEC),
    )
    if file < 0:
        raise ConfigError(_reason(ctypes.get_errno()))
    return file


def _process(machine: str, largest: int) -> str:
    """The processor as this process sees it: a 32-bit one may run on a 64-bit kernel."""
    if largest > 2**32:
        return machine
    return "arm" if machine.startswith(("arm", "aarch64")) else "i386"


def _reason(code: int) -> str:
    if code in {errno.EACCES, errno.EPERM}:
        return (
            "the kernel does not let ordinary users count instructions: allow it with"
            " `sudo sysctl kernel.perf_event_paranoid=2`, or run in a container that may"
        )
    if code in {errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP}:
        return (
            "this machine has no instruction counter: virtual machines often have none,"
            " QEMU's only with `-icount shift=0`"
        )
    if code == errno.ENOSYS:
        return "this kernel was built without perf events, so instructions cannot be counted"
    return f"instructions cannot be counted: {os.strerror(code)}"
