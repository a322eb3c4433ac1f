"""What each attack costs under each rule, as colours: a panel for each task and codec."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedge.bench.attacks.catalogue import ATTACKS
from fedge.bench.attacks.report import describe
from fedge.bench.attacks.summary import Cell
from fedge.bench.codecs.plot import check_matplotlib

_WORST = 0.2  # of accuracy; a larger loss has the same colour


def plot(cells: Sequence[Cell], path: Path) -> None:
    """Plot accuracy in percent on the colour of what was lost.

    Raises:
        MissingDependencyError: if matplotlib is not installed.
    """
    check_matplotlib()
    import matplotlib as mpl  # noqa: PLC0415 - optional
    from matplotlib.figure import Figure  # noqa: PLC0415

    tables = list(dict.fromkeys(cell.setting.table for cell in cells))
    rules = list(dict.fromkeys(cell.setting.rule for cell in cells))
    played = {cell.setting.attack for cell in cells}
    attacks = [name for name in ATTACKS if name in played]
    height = (0.3 * len(rules) + 1.2) * len(tables) + 0.6
    with mpl.rc_context({"font.size": 7}):
        figure = Figure(figsize=(0.5 * len(attacks) + 3, height), layout="constrained")
        panels = list(figure.subplots(len(tables), 1, squeeze=False).flat)
        for shared, panel in zip(tables, panels, strict=True):
            mine = [cell for cell in cells if cell.setting.table == shared]
            image = _draw(panel, mine, rules, attacks)
            panel.set_title(describe(shared), fontsize=8)
        figure.colorbar(image, ax=panels, label="accuracy lost", shrink=0.5)
        figure.savefig(path, dpi=110)


def _draw(panel: Any, cells: Sequence[Cell], rules: list[str], attacks: list[str]) -> Any:
    places = {
        (rules.index(cell.setting.rule), attacks.index(cell.setting.attack)): cell for cell in cells
    }
    lost = [
        [
            places[row, column].lost if (row, column) in places else math.nan
            for column in range(len(attacks))
        ]
        for row in range(len(rules))
    ]
    image = panel.imshow(lost, cmap="RdYlGn_r", vmin=0, vmax=_WORST, aspect="auto")
    for (row, column), cell in places.items():
        panel.text(column, row, f"{100 * cell.accuracy:.0f}", ha="center", va="center")
    panel.set_xticks(range(len(attacks)), attacks, rotation=35, ha="right")
    panel.set_yticks(range(len(rules)), rules)
    return image
