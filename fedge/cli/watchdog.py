"""A process that is asked to end does so, whatever it is in the middle of.

Python runs the handler of a signal on the main thread, between two of its instructions: not while
that thread is inside an engine for a minute. The number of the signal, however, is written to a
socket at once, and a separate thread reads it there. Ending the process this way loses nothing:
whatever a device or an aggregator has said it keeps is on the disk by then.
"""

import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from fedge.logs import logger

GRACE_S = 4.5  # from the first signal to the end, at the latest
_STACK_BYTES = 1 << 18  # it does next to nothing, and boards have little memory
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_log = logger(__name__)


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """The first SIGTERM or SIGINT calls `stop`; a second, or `GRACE_S`, ends the process.

    Raises:
        MemoryError: if there is not enough memory for a thread.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # noqa: FBT003 - the library's
    size = threading.stack_size(_STACK_BYTES)
    try:
        threading.Thread(target=_watch, args=(theirs,), name="watchdog", daemon=True).start()
    except RuntimeError:
        raise MemoryError("not enough memory for a thread") from None
    finally:
        threading.stack_size(size)

    def handle(number: int, _frame: FrameType | None) -> None:
        stop()
        signal.signal(number, signal.SIG_DFL)

    for number in _SIGNALS:
        signal.signal(number, handle)
    before = signal.set_wakeup_fd(ours.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        ours.close()  # the thread then reads the end of the stream


def _watch(numbers: socket.socket) -> None:
    """Wait for a signal, and then for the end of the context."""
    with numbers:
        first = numbers.recv(1)
        if not first:
            return
        has_more, _, _ = select.select([numbers], [], [], GRACE_S)
        if has_more and not numbers.recv(1):
            return
    if not has_more:
        _log.warning("still busy %.1f s after the signal: ended without waiting", GRACE_S)
    os._exit(128 + first[0])
