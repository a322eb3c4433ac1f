"""Runs a `fedge` command and records its cost: `measured RESULT.json aggregate --...`.

The command runs as usual. At each SIGUSR1 the totals so far are noted: CPU time of the process, of
its main thread and of its network thread, by the clocks that the kernel keeps for each, and
instructions where the processor counts them. At the end these notes are written to a file, with
the most memory that the process ever used.

The main thread's time is also broken down by package, by sampling: after each millisecond of its
own CPU time, or each kernel tick where that is coarser, a signal handler looks up the innermost
package of `fedge` that the thread is in, and charges it the CPU time since the last signal. A
timer on that thread's own clock sees no waiting and no other thread, and the signal arrives
wherever the work is, while a sampling thread would only see where the interpreter releases its
lock. A sample costs about 10 us, at most 1 %. C code, such as SQLite's, counts towards the package
that called it. Linux only.
"""

import ctypes
import json
import os
import runpy
import signal
import sys
import threading
import time
from collections import Counter as Tally
from pathlib import Path
from types import FrameType
from typing import Any

from fedge.bench.instructions import Counter
from fedge.errors import ConfigError

NETWORK = "fedge mqtt"  # the thread's name
_SAMPLE_NS = 1_000_000
_NOTIFY_THREAD = 4  # Linux's SIGEV_THREAD_ID
_SIGEVENT_BYTES = 64
_OUTSIDE = "other"


class Meter:
    """Notes totals at every SIGUSR1; create it in the main thread, before any other starts."""

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}
        self.marks: list[dict[str, Any]] = []
        self._rooms: Tally[str] = Tally()
        self._sampled_ns = time.thread_time_ns()
        try:
            self._counter: Counter | None = Counter()
        except ConfigError as error:
            self._counter = None
            self.notes["instructions"] = str(error)
        signal.signal(signal.SIGUSR1, lambda _number, frame: self.mark(frame))
        signal.signal(signal.SIGPROF, self._sample)
        try:
            _start_timer()
        except OSError as error:
            self.notes["rooms"] = f"the main thread cannot be sampled here: {error}"

    def result(self) -> dict[str, Any]:
        """The content of the result file."""
        return {"marks": self.marks, "notes": self.notes, "peak_bytes": _peak_bytes()}

    def mark(self, frame: FrameType | None = None) -> None:
        """Note the totals so far."""
        self._sample(0, frame)
        user_ns, system_ns = _network_ns()
        mark: dict[str, Any] = {
            "process_ns": time.process_time_ns(),
            "main_ns": self._sampled_ns,
            "network_user_ns": user_ns,
            "network_system_ns": system_ns,
            "rooms_ns": dict(self._rooms),
            "instructions": None,
        }
        if self._counter is not None:
            try:
                mark["instructions"] = self._counter.read()
            except ConfigError as error:
                self.notes["instructions"] = str(error)
        self.marks.append(mark)

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        now_ns = time.thread_time_ns()
        self._rooms[_room(frame)] += now_ns - self._sampled_ns
        self._sampled_ns = now_ns


def _room(frame: FrameType | None) -> str:
    """The innermost package of fedge at work; for the aggregator, the package inside it."""
    while frame is not None:
        name: str = frame.f_globals.get("__name__", "")
        if name.startswith("fedge.") and not name.startswith("fedge.cli"):
            words = name.split(".")
            return ".".join(words[1:3] if words[1] == "aggregator" else words[1:2])
        frame = frame.f_back
    return _OUTSIDE


def _network_ns() -> tuple[int, int]:
    """CPU time of the network thread in user and in kernel mode, in whole kernel ticks."""
    for thread in threading.enumerate():
        if thread.name == NETWORK and thread.native_id is not None:
            try:
                stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
            except OSError:
                return 0, 0
            user, system = stat.rpartition(")")[2].split()[11:13]
            tick_ns = 10**9 // os.sysconf("SC_CLK_TCK")
            return int(user) * tick_ns, int(system) * tick_ns
    return 0, 0


def _start_timer() -> None:
    """Send SIGPROF to this thread each time it has used another `_SAMPLE_NS` of CPU time.

    Raises:
        OSError: if the system has no such timers.
    """
    library = _library()
    event = (ctypes.c_char * _SIGEVENT_BYTES)()
    # sigev_value, sigev_signo, sigev_notify, sigev_notify_thread_id
    at = ctypes.addressof(event) + ctypes.sizeof(ctypes.c_void_p)
    ctypes.c_int.from_address(at).value = signal.SIGPROF
    ctypes.c_int.from_address(at + 4).value = _NOTIFY_THREAD
    ctypes.c_int.from_address(at + 8).value = threading.get_native_id()
    timer = ctypes.c_void_p()
    clock = time.CLOCK_THREAD_CPUTIME_ID
    if library.timer_create(ctypes.c_int(clock), event, ctypes.byref(timer)):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    times = (ctypes.c_long * 4)(0, _SAMPLE_NS, 0, _SAMPLE_NS)
    if library.timer_settime(timer, 0, times, None):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _library() -> ctypes.CDLL:
    if not sys.platform.startswith("linux"):
        raise OSError("only Linux has timers on a thread's CPU time")
    for name in (None, "librt.so.1"):  # glibc before 2.34 has them in a library of their own
        library = ctypes.CDLL(name, use_errno=True)
        if hasattr(library, "timer_create"):
            return library
    raise OSError("the C library has no timer_create")


def _peak_bytes() -> int | None:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    _, found, rest = status.partition("VmHWM:")
    return int(rest.split()[0]) * 1024 if found else None


def _main(result: str, *words: str) -> None:
    meter = Meter()
    sys.argv = ["fedge", *words]
    try:
        runpy.run_module("fedge", run_name="__main__", alter_sys=True)
    finally:
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
        meter.mark()
        Path(result).write_text(json.dumps(meter.result()))


if __name__ == "__main__":
    _main(*sys.argv[1:])
