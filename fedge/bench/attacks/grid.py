"""Many runs: which ones."""

from dataclasses import dataclass, replace
from itertools import product

from fedge import strategies
from fedge.bench.attacks.catalogue import ATTACKS
from fedge.bench.attacks.setting import CLEAN, CODECS, UNBOUNDED, Setting
from fedge.bench.codecs import tasks
from fedge.errors import ConfigError


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
