"""The file of events: one JSON object a line, by the schema of docs/events.md."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from fedge.storage import writing

# Of the schema. It grows when a field goes or changes its meaning, not when one is added.
VERSION = 1


class Events:
    """Appends lines, each written at once, with version and time; without a path it does nothing.

    After a crash the line of the last round may be missing or torn: `catch_up`
    takes what is missing from the database.

    Args:
        path: of the file.
        timestamp: the time now, as text; an event that has a time of its own keeps it.

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
        """Cut off a torn last line, then write the rounds that are not yet there."""
        if self._path is None or not self._path.exists():
            known: set[int] = set()
        else:
            known = self._mend(self._path)
        for report in reports:
            if report["round"] not in known:
                self.write(report)

    def _mend(self, path: Path) -> set[int]:
        """The rounds in the file, which ends with a whole line afterwards."""
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
    """The round that a line tells of, if it tells of one."""
    try:
        event = json.loads(line)
        return {int(event["round"])} if event["event"] == "round" else set()
    except (ValueError, KeyError, TypeError):
        return set()  # not a line of ours: leave it alone
