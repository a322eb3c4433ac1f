"""Where this machine gets Debian from, and whose signatures it trusts there."""

import re
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.errors import EmulationError
from firmware_sim.stock import programs

_FIELDS = ("REPO_URI", "ORIGIN", "COMPONENT", "SOURCESENTRY", "SITE", "LABEL")
_SIGNED_BY = re.compile(r"signed-by\s*[:=]\s*(/[^\s\]]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mirror:
    """A Debian archive; it has every architecture and suite."""

    uri: str
    keyring: Path | None  # None: the keys the machine trusts for all archives

    def source(self, architecture: str, suite: str) -> str:
        """The line of a sources.list."""
        signed = f" signed-by={self.keyring}" if self.keyring else ""
        return f"deb [arch={architecture}{signed}] {self.uri} {suite} main"


def mirror() -> Mirror:
    """The machine's own Debian mirror.

    Raises:
        EmulationError: if apt knows of none.
    """
    form = "|".join(f"$({field})" for field in _FIELDS)
    for line in programs.run(["apt-get", "indextargets", "--format", form]).splitlines():
        uri, origin, component, entry, *_, label = line.split("|")
        if (origin, label, component) == ("Debian", "Debian", "main"):
            return Mirror(uri, _keyring(Path(entry.rpartition(":")[0])))
    raise EmulationError(
        "apt knows of no Debian archive here: `apt-get indextargets` lists none with the origin"
        " and label Debian. Add one to /etc/apt/sources.list and run `sudo apt update`"
    )


def _keyring(sources: Path) -> Path | None:
    found = _SIGNED_BY.search(sources.read_text()) if sources.is_file() else None
    return Path(found[1]) if found else None
