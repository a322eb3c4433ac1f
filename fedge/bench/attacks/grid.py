"""Many runs: which ones, and which of them are already done."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

from fedge import strategies
from fedge.bench.attacks.catalogue import ATTACKS
from fedge.bench.attacks.run import Result
from fedge.bench.attacks.setting import CLEAN, CODECS, UNBOUNDED, Setting
from fedge.bench.codecs import tasks
from fedge.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Every combination of these is a run; the rest of a setting is shared."""

    tasks: tuple[str, ...]
    codecs: tuple[str, ...]
    rules: tuple[str, ...]
    attacks: tuple[str, ...]
    n_seeds: int
    shared: Setting  # its task, codec, rule, attack and seed do not matter

    def settings(self) -> list[Setting]:
        """All runs, those without an attack first; refuses now what a run would refuse later.

        Raises:
            ConfigError: if a name is unknown, or no device would be honest.
            MissingDependencyError: if a task's data need a package that is not installed.
        """
        self._check()
        attacks = list(dict.fromkeys([CLEAN, *self.attacks]))
        cells = product(range(self.n_seeds), self.tasks, self.codecs, attacks, self.rules)
        return [
            replace(self.shared, task=task, codec=codec, rule=rule, attack=attack, seed=seed)
            for seed, task, codec, attack, rule in cells
        ]

    def _check(self) -> None:
        for task in self.tasks:
            tasks.get(task)
        for what, names, known in (
            ("attack", self.attacks, ATTACKS),
            ("codec", self.codecs, CODECS),
        ):
            for name in names:
                if name not in known:
                    raise ConfigError(f"unknown {what} {name!r}: use {', '.join(known)}")
        for rule in self.rules:
            if rule != UNBOUNDED:
                strategies.get(rule)
        if not 0 < self.shared.n_hostile < self.shared.n_devices:
            raise ConfigError(
                f"--hostile must be 1 to {self.shared.n_devices - 1}, not {self.shared.n_hostile}"
            )


def append(path: Path, result: Result) -> None:
    """Add a finished run to a log: one line of JSON each."""
    with path.open("a") as log:
        log.write(json.dumps(asdict(result)) + "\n")


def read(path: Path) -> list[Result]:
    """The runs of a log; a last line that was cut off is left out, and no file means none.

    Raises:
        DataError: if another line is not a run of this release.
    """
    if not path.exists():
        return []
    *whole, rest = path.read_text(errors="replace").split("\n")
    if rest:
        path.write_text("".join(line + "\n" for line in whole))
    return [_read(path, number, line) for number, line in enumerate(whole, 1)]


def _read(path: Path, number: int, line: str) -> Result:
    try:
        record = json.loads(line)
        _check_shares(record["accuracy"], record["backdoor"], *record["curve"])
        record["setting"] = Setting(**record["setting"])
        record["curve"] = tuple(record["curve"])
        return Result(**record)
    except (ValueError, TypeError, KeyError):
        raise DataError(
            f"{path}, line {number}", expected="a run of this release", found=ascii(line[:60])
        ) from None


def _check_shares(*values: object) -> None:
    if not all(isinstance(value, (int, float)) and 0 <= value <= 1 for value in values):
        raise ValueError


def only(results: Iterable[Result], settings: Iterable[Setting]) -> list[Result]:
    """The results of these settings, in their order."""
    known = {result.setting: result for result in results}
    return [known[setting] for setting in settings if setting in known]
