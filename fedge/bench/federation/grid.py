"""Many runs: which ones, on how many processes, and what they show together."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from fedge.bench.federation import methods
from fedge.bench.federation.reference import reference
from fedge.bench.federation.run import Result
from fedge.bench.federation.setting import TASKS, WAYS, Setting
from fedge.bench.federation.tasks import TASKS as DESCRIBED
from fedge.bench.federation.tasks import concentration
from fedge.errors import ConfigError

LAST = 10  # rounds whose mean accuracy is a run's result


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Every combination of these is a run.

    Attributes:
        splits: of every task; none: the task's own.
        methods: none: all of them, and where data have owners the baselines too.
        rounds: of every run; None: the task's.
    """

    tasks: tuple[str, ...]
    splits: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    ways: tuple[str, ...]
    n_seeds: int
    rounds: int | None
    paths: Mapping[str, Path] = field(default_factory=dict)

    def settings(self) -> list[Setting]:
        """All runs: one seed of everything, then the next, so that a part of it says something.

        Raises:
            ConfigError: if a name is unknown.
        """
        for what, names, known in (("task", self.tasks, TASKS), ("way", self.ways, WAYS)):
            for name in names:
                if name not in known:
                    raise ConfigError(f"unknown {what} {name!r}: use {', '.join(known)}")
        cells = product(self.ways, range(self.n_seeds), self.tasks)
        return [
            Setting(
                task=task,
                split=split,
                method=method,
                way=way,
                seed=seed,
                rounds=self.rounds or DESCRIBED[task].rounds,
            )
            for way, seed, task in cells
            for split in self.splits or DESCRIBED[task].splits
            for method in self._methods(split)
            if way == self.ways[0] or method not in methods.BASELINES
        ]

    def _methods(self, split: str) -> tuple[str, ...]:
        if split not in {"user", "shards"}:
            concentration(split)
        every = (*methods.METHODS, *(methods.BASELINES if split == "user" else ()))
        for method in self.methods:
            methods.get(method)
        return self.methods or every


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A method in one cell and one way, over its seeds.

    Attributes:
        accuracy: mean over the seeds of the mean of the last rounds.
        spread: standard deviation of the latter over seeds; None for a single one.
        rounds: median rounds to the target; None if half the seeds or more never reach it.
        up, down: bytes of all devices, means over seeds.
    """

    n_seeds: int
    accuracy: float
    spread: float | None
    rounds: float | None
    up: float
    down: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One method in one cell.

    Attributes:
        cell: what the runs have in common; see `Setting.cell`.
        outcomes: by way.
        reference: accuracy and rounds of an independent implementation, if there are any.
    """

    cell: Setting
    n_params: int
    target: float
    outcomes: dict[str, Outcome]
    reference: tuple[float, int | None] | None


def summarise(results: Sequence[Result]) -> list[Line]:
    """A line for each method of each cell, in the order of the first run of each."""
    groups: dict[Setting, dict[str, list[Result]]] = {}
    for result in results:
        ways = groups.setdefault(result.setting.cell, {})
        ways.setdefault(result.setting.way, []).append(result)
    lines = []
    for cell, ways in groups.items():
        target = DESCRIBED[cell.task].target
        lines.append(
            Line(
                cell=cell,
                n_params=next(iter(ways.values()))[0].n_params,
                target=target,
                outcomes={way: _outcome(group, target) for way, group in ways.items()},
                reference=reference(cell),
            )
        )
    return lines


def _outcome(group: Sequence[Result], target: float) -> Outcome:
    ends = [statistics.fmean(result.accuracies[-LAST:]) for result in group]
    reached = statistics.median(_rounds_to(result, target) for result in group)
    return Outcome(
        n_seeds=len(group),
        accuracy=statistics.fmean(ends),
        spread=statistics.stdev(ends) if len(ends) > 1 else None,
        rounds=reached if reached < float("inf") else None,
        up=statistics.fmean(result.up for result in group),
        down=statistics.fmean(result.down for result in group),
    )


def _rounds_to(result: Result, target: float) -> float:
    reached = (n for n, accuracy in enumerate(result.accuracies, start=1) if accuracy >= target)
    return next(reached, float("inf"))
