"""Many runs: which ones, and what they show together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from fedge.bench.codecs import schemes, tasks
from fedge.bench.codecs.run import Result
from fedge.bench.codecs.setting import Setting
from fedge.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Every combination of these is a run; the rest of a setting is shared."""

    tasks: tuple[str, ...]
    schemes: tuple[str, ...]
    iid: tuple[bool, ...]
    participation: tuple[float, ...]
    n_seeds: int
    shared: Setting  # its task, scheme, iid, participation and seed do not matter

    def settings(self) -> list[Setting]:
        """All runs, float32 first in each kind; refuses now what a process would refuse later.

        Raises:
            ConfigError: if a task or scheme is unknown, or a data file has no target.
            MissingDependencyError: if a task's data need a package that is not installed.
        """
        names = list(dict.fromkeys([schemes.FLOAT32, *self.schemes]))
        for scheme in names:
            schemes.get(scheme)
        for task in self.tasks:
            if math.isnan(tasks.get(task).target) and self.shared.target is None:
                raise ConfigError(f"say with --target what accuracy to reach on {task}")
        cells = product(self.tasks, self.iid, self.participation, names, range(self.n_seeds))
        return [
            replace(self.shared, task=task, iid=iid, participation=share, scheme=scheme, seed=seed)
            for task, iid, share, scheme, seed in cells
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One scheme in one cell, over all seeds.

    Attributes:
        cell: what the runs have in common; see `Setting.cell`.
        n_reached: how many of the n_seeds seeds reached the target.
        rounds: to the target; a mean over seeds, like the bytes, and None unless all reached it.
        rounds_factor: these over float32's.
        up, down: bytes to the target, averaged over the fleet's devices.
        up_factor, factor: float32's bytes divided by these, up and both ways.
        best: highest accuracy of any round, averaged over seeds.
    """

    cell: Setting
    scheme: str
    n_params: int
    target: float
    n_seeds: int
    n_reached: int
    rounds: float | None
    rounds_factor: float | None
    up: float | None
    down: float | None
    up_factor: float | None
    factor: float | None
    best: float


def summarise(results: Sequence[Result]) -> list[Line]:
    """A line for each scheme of each cell, in the order of the first run of each."""
    groups: dict[tuple[Setting, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.setting.cell, result.setting.scheme), []).append(result)
    plain = {cell: _means(group) for (cell, name), group in groups.items() if name == "none"}
    return [_line(cell, scheme, group, plain.get(cell)) for (cell, scheme), group in groups.items()]


_Means = tuple[float, float, float]  # rounds, bytes up, bytes down; the last two per device


def _means(group: Sequence[Result]) -> _Means | None:
    """None unless all reached the target."""
    reached = [result.reached for result in group if result.reached]
    if len(reached) < len(group):
        return None
    n, n_devices = len(reached), group[0].setting.n_devices
    return (
        sum(point.round for point in reached) / n,
        sum(point.up for point in reached) / n / n_devices,
        sum(point.down for point in reached) / n / n_devices,
    )


def _line(cell: Setting, scheme: str, group: Sequence[Result], plain: _Means | None) -> Line:
    means = _means(group)
    rounds, up, down = means or (None, None, None)
    best = [max((point.accuracy for point in r.points), default=0.0) for r in group]
    return Line(
        cell=cell,
        scheme=scheme,
        n_params=group[0].n_params,
        target=group[0].target,
        n_seeds=len(group),
        n_reached=sum(result.reached is not None for result in group),
        rounds=rounds,
        up=up,
        down=down,
        rounds_factor=means[0] / plain[0] if means and plain else None,
        up_factor=plain[1] / means[1] if means and plain else None,
        factor=(plain[1] + plain[2]) / (means[1] + means[2]) if means and plain else None,
        best=sum(best) / len(best),
    )
