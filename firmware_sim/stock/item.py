"""A cache folder that comes from an archive, with a memory of the archive's faults.

Otherwise everybody who needs the folder would wait for the same answer again, for minutes. So only
`fetch` asks an archive again after a fault; everybody else gets the error at once, offline.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.errors import ArchiveError
from firmware_sim.stock import cache

Tell = Callable[[str], None]

_AGAIN = " (`python -m firmware_sim fetch` asks again)"


@dataclass(frozen=True, slots=True)
class Item:
    """One complete part of a board's system: a release, a kernel, headers, packages.

    Attributes:
        title: what it is.
        name: its folder in the cache.
        key: identifies everything its content depends on.
        make: fetches and fills an empty folder.
    """

    title: str
    name: str
    key: str
    make: Callable[[Path, Tell], None]

    def folder(self, tell: Tell) -> Path:
        """The folder, fetched on first use.

        Raises:
            ArchiveError: if the archive is at fault, now or when it was last asked.
        """
        fault = self.fault()
        if fault is not None:
            raise ArchiveError(fault.what, fault.reason.removesuffix(_AGAIN) + _AGAIN)
        return self.fetch(tell)

    def fetch(self, tell: Tell) -> Path:
        """The folder; asks the archive again if it was at fault before.

        Raises:
            ArchiveError: if it still is.
        """
        try:
            folder = cache.made(self.name, self.key, lambda folder: self.make(folder, tell))
        except ArchiveError as error:
            self._note.parent.mkdir(parents=True, exist_ok=True)
            self._note.write_text(json.dumps([error.what, error.reason]))
            raise
        self._note.unlink(missing_ok=True)
        return folder

    def fault(self) -> ArchiveError | None:
        """Why it was unavailable when last requested; None if it is there or untried."""
        if not self._note.exists() or (cache.home() / self.name / self.key).is_dir():
            return None
        return ArchiveError(*json.loads(self._note.read_text()))

    @property
    def _note(self) -> Path:
        return cache.home() / "unavailable" / f"{self.name.replace('/', '-')}-{self.key}.json"
