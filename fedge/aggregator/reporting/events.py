"""The file of events: one JSON object a line, by the schema of docs/events.md."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from fedge.storage import writing

# Of the schema. It grows when a field is removed or changes its meaning, not when one is added.
VERSION = 1


class Events:
    """Appends lines with version and time, unbuffered; without a path it does nothing.

    After a crash the line of the last round may be missing or cut short: `catch_up`
    restores it from the database.

    Args:
        path: the file.
        timestamp: gives the time now, as text; an event with a time of its own keeps it.

    Raises:
        StorageError: from every method, if the file cannot be written.
    """

    def __init__(self, path: Path | None, timestamp: Callable[[], str]) -> None:
        self._path, self._timestamp = path, timestamp

    def write(self, event: Mapping[str, Any]) -> None:
        """Append one line."""
        if self._path is not None:
            whole = {"v": VERSION, "time": self._timestamp(), **event}
            with writing(self._path), self._path.open("a") as file:
                file.write(json.dumps(whole) + "\n")

    def catch_up(self, reports: Iterable[Mapping[str, Any]]) -> None:
        """Remove an incomplete last line, then write the rounds that are missing."""
        if self._path is None or not self._path.exists():
            known: set[int] = set()
        else:
            known = self._repair(self._path)
        for report in reports:
            if report["round"] not in known:
                self.write(report)

    def _repair(self, path: Path) -> set[int]:
        """Make the file end with a complete line; the rounds it contains."""
        known: set[int] = set()
        with writing(path), path.open("r+b") as file:
            end = 0
            for line in file:
                if not line.endswith(b"\n"):
                    file.truncate(end)
                    break
                end += len(line)
                known |= _round_of(line)
        return known


def _round_of(line: bytes) -> set[int]:
    """The round that a line is about, if it is about one."""
    try:
        event = json.loads(line)
        return {int(event["round"])} if event["event"] == "round" else set()
    except (ValueError, KeyError, TypeError):
        return set()  # not a line of ours: leave it alone
