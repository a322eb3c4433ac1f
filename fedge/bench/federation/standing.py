"""What the rounds so far have said about devices, in an aggregator's tables, in memory."""

import sqlite3
from collections.abc import Iterable

from fedge.aggregator.state.records import EvaluationRecord, Quarantine, Verdicts
from fedge.aggregator.state.schema import VERDICTS
from fedge.aggregator.state.verdict_table import (
    count_devices,
    read_quarantine,
    read_suspicion,
    write_verdicts,
)
from fedge.types import DeviceId


class Standing:
    """Whose updates count, and who has been suspect."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(":memory:")
        for table in VERDICTS:
            self._db.execute(table)

    def quarantine(self) -> dict[DeviceId, Quarantine]:
        """Every decision, by device."""
        return read_quarantine(self._db)

    def suspicion(self, devices: Iterable[DeviceId]) -> dict[DeviceId, int]:
        """The bits of these devices' last rounds, as far as they are known."""
        return read_suspicion(self._db, devices)

    def n_compared(self) -> int:
        """How many devices have been compared."""
        return count_devices(self._db)

    def last_evaluation(self) -> EvaluationRecord | None:
        """None: nothing is evaluated by the devices here."""
        return None

    def keep(self, verdicts: Verdicts) -> None:
        """Add what a round says."""
        write_verdicts(self._db, verdicts, "")
