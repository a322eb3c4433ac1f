"""What the runs show together: a cell for each rule and attack, over all seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

from fedge.bench.attacks.catalogue import ATTACKS
from fedge.bench.attacks.run import Result
from fedge.bench.attacks.setting import CLEAN, DEFAULT_RULE, Setting

HELD = 0.02  # accuracy that an attack may cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One rule under one attack.

    Attributes:
        setting: see `Setting.cell`.
        accuracy, backdoor: means over n_seeds runs; see `Result`.
        lost: accuracy below the better one of two runs without an attack, this rule's and that of
            the default rule, in the mean over seeds; negative if the attack cost nothing.
    """

    setting: Setting
    n_seeds: int
    accuracy: float
    backdoor: float
    lost: float

    @property
    def holds(self) -> bool:
        return self.lost <= HELD


def summarise(results: Sequence[Result]) -> list[Cell]:
    """A cell for each rule and attack, in the order of the first run of each."""
    groups: dict[Setting, list[Result]] = {}
    for result in results:
        groups.setdefault(result.setting.cell, []).append(result)
    clean = {
        (setting.table, setting.rule): _mean([one.accuracy for one in group])
        for setting, group in groups.items()
        if setting.attack == CLEAN
    }
    return [_cell(setting, group, clean) for setting, group in groups.items()]


def _cell(
    setting: Setting, group: Sequence[Result], clean: dict[tuple[Setting, str], float]
) -> Cell:
    accuracy = _mean([one.accuracy for one in group])
    best = [clean.get((setting.table, rule), 0.0) for rule in (setting.rule, DEFAULT_RULE)]
    return Cell(
        setting=setting,
        n_seeds=len(group),
        accuracy=accuracy,
        backdoor=_mean([one.backdoor for one in group]),
        lost=round(max(best) - accuracy, 9),
    )


def worst(cells: Sequence[Cell]) -> Cell | None:
    """The untargeted attack that cost most; None if there is none."""
    found = [cell for cell in cells if _is_untargeted(cell.setting.attack)]
    return max(found, key=lambda cell: cell.lost, default=None)


def _is_untargeted(attack: str) -> bool:
    return attack != CLEAN and not ATTACKS[attack].is_targeted


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
