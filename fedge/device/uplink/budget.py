"""Measures the uplink by the results sent over it, and decides how large the next may be."""

from dataclasses import dataclass

from fedge.device.state.database import Database
from fedge.device.uplink.goodput import Goodput, Send
from fedge.logs import logger
from fedge.transport import Transport
from fedge.types import RoundId

_log = logger(__name__)

_TABLES = "CREATE TABLE IF NOT EXISTS send (n_bytes INTEGER NOT NULL, took_s REAL NOT NULL);"
_TOO_LONG = 2  # times the upload time: a longer send counts as failed, even if it arrives
_LOOKS = 100  # checks per upload time: a measured time is too long by less than one interval


@dataclass(slots=True)
class _Upload:
    """From the first result handed to an idle link until the broker has acknowledged them all."""

    began_at_s: float
    n_bytes: int = 0
    is_late: bool = False  # and was counted as failed

    def so_far(self, now_s: float) -> Send:
        return Send(self.n_bytes, now_s - self.began_at_s)


class UploadBudget:
    """A device's budget: the one it was given, or what its link carries in a given time.

    Args:
        transport: knows when the broker has everything.
        database: stores the measurements.
        upload_time_s: how long sending an update may take; if None, nothing is measured.
        most_bytes: the limit for every update, whatever the link carries.

    Attributes:
        budgets: in bytes, by round.
    """

    def __init__(
        self,
        transport: Transport,
        database: Database,
        *,
        upload_time_s: float | None,
        most_bytes: int | None,
    ) -> None:
        self._transport, self._database, self._most_bytes = transport, database, most_bytes
        self._upload: _Upload | None = None
        self._goodput: Goodput | None = None
        self.budgets: dict[RoundId, int] = {}
        if upload_time_s is not None:
            database.make(_TABLES)
            found = database.rows("SELECT n_bytes, took_s FROM send ORDER BY rowid")
            self._goodput = Goodput(upload_time_s, tuple(Send(*row) for row in found))

    @property
    def bytes_per_s(self) -> float | None:
        """The goodput behind the budget; None if nothing was measured."""
        return None if self._goodput is None else self._goodput.bytes_per_s

    @property
    def pause_s(self) -> float:
        """Seconds until the next check is due; infinity while nothing is under way."""
        if self._goodput is None or self._upload is None:
            return float("inf")
        return self._goodput.upload_time_s / _LOOKS

    def choose(self, round_: RoundId) -> int | None:
        """The most bytes this round's update may have; None leaves the codec to the plan."""
        if self._goodput is None:
            budget = self._most_bytes
        else:
            measured = self._goodput.budget_bytes
            budget = measured if self._most_bytes is None else min(measured, self._most_bytes)
        if budget is not None:
            self.budgets[round_] = budget
        return budget

    def began(self, n_bytes: int, now_s: float) -> None:
        """A result of this size has been handed to the transport."""
        if self._goodput is not None:
            self._upload = self._upload or _Upload(now_s)
            self._upload.n_bytes += n_bytes

    def look(self, now_s: float) -> None:
        """Check whether everything has arrived, or has taken too long."""
        if self._goodput is None or self._upload is None:
            return
        send = self._upload.so_far(now_s)
        if self._transport.flush(0):
            self._upload = None
            self._learn(self._goodput.after(send))
        elif send.took_s > _TOO_LONG * self._goodput.upload_time_s and not self._upload.is_late:
            self._upload.is_late = True
            self._learn(self._goodput.after_failure(send))

    def lost(self, now_s: float) -> None:
        """The connection is gone, and with it what was under way."""
        if self._goodput is not None and self._upload is not None:
            send, self._upload = self._upload.so_far(now_s), None
            self._learn(self._goodput.after_failure(send))

    def _learn(self, goodput: Goodput) -> None:
        if goodput == self._goodput:
            return
        self._goodput = goodput
        rows = [(send.n_bytes, send.took_s) for send in goodput.sends]
        with self._database.transaction() as db:
            db.execute("DELETE FROM send")
            db.executemany("INSERT INTO send VALUES (?,?)", rows)
        _log.info(
            "link estimate: %.0f bytes/s (%d bytes in %g s)",
            goodput.bytes_per_s, goodput.budget_bytes, goodput.upload_time_s,
        )  # fmt: skip
