"""One thread at a time, whichever it is."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Lets one thread in and refuses the others; the thread inside may re-enter.

    Args:
        what: what is guarded; the error starts with it.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.RLock()
        self._holder = ""

    @contextmanager
    def taken(self, *, wait_s: float = 0.0) -> Iterator[None]:
        """Be the one inside, waiting up to `wait_s` for another thread to leave.

        Raises:
            RuntimeError: if another thread is still in.
        """
        if not self._lock.acquire(timeout=wait_s):
            raise RuntimeError(
                f"{self._what} is in use by thread {self._holder!r}, and "
                f"{threading.current_thread().name!r} called it too: one thread at a time may "
                "use it; call stop() and wait for the other to return"
            )
        try:
            self._holder = threading.current_thread().name
            yield
        finally:
            self._lock.release()
