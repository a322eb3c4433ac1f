"""A `fedge` command that says what its work has cost: `measured RESULT.json aggregate --...`.

The command runs as it always does. Whenever somebody sends it SIGUSR1, the totals so far are
noted: CPU time of the process, of its main thread and of its network thread, by the clocks that
the kernel keeps for each, and instructions where the processor counts them. At the end the notes
and the most memory it ever had are written.

The main thread's time is told by rooms too, by sampling: each millisecond of its own CPU time, or
each tick of the kernel's where that is coarser, a signal notes which package of `fedge` it is in,
the innermost one, and puts down to it the CPU time since the last signal. A timer on that thread's
own clock sees no waiting and no other thread, and the signal comes wherever the work is, not only
where the interpreter lets go of its lock, as a sampling thread would. A sample costs about 10 us,
1 % at most. What C does for a package, SQLite for instance, counts as the package's. Linux only.
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
    """Notes totals at every SIGUSR1; make it in the main thread before there are others."""

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
        """As the file holds it."""
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
    """The innermost package of fedge that is at work; of the aggregator the room in it."""
    while frame is not None:
        name: str = frame.f_globals.get("__name__", "")
        if name.startswith("fedge.") and not name.startswith("fedge.cli"):
            words = name.split(".")
            return ".".join(words[1:3] if words[1] == "aggregator" else words[1:2])
        frame = frame.f_back
    return _OUTSIDE


def _network_ns() -> tuple[int, int]:
    """CPU time of the network thread, its own and the kernel's for it, to the kernel's tick."""
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
    """SIGPROF to this thread, again and again, each time it has used up so much CPU time.

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
    for name in (None, "librt.so.1"):  # glibc before 2.34 has them apart
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
