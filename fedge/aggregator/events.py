"""The file of events: one JSON object a line, for whoever watches."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fedge.aggregator.folder import storing


class Events:
    """Appends lines, each written at once; without a path it does nothing.

    After a crash the line of the last round may be missing or torn: `catch_up`
    takes what is missing from the database.

    Raises:
        StorageError: from every method, if the file cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def write(self, event: Mapping[str, Any]) -> None:
        """Append one line."""
        if self._path is not None:
            with storing(self._path), self._path.open("a") as file:
                file.write(json.dumps(event) + "\n")

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
        with storing(path), path.open("r+b") as file:
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
