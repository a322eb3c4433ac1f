"""Plays the runs of a grid that are not finished yet, with a line of progress for each."""

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TypeVar

from fedge.bench import journal
from fedge.bench.processes import run_all
from fedge.cli.bench.common import tell

Setting = TypeVar("Setting", bound=Hashable)
Result = TypeVar("Result", bound=journal.Run)


def play(
    settings: Sequence[Setting],
    run: Callable[[Setting], Result],
    *,
    kind: type[Result],
    file: Path | None,
    n_jobs: int,
    describe: Callable[[Result], str],
) -> list[Result]:
    """The results of these settings, in their order.

    Args:
        settings: one for each run.
        run: a function of a module, so that other processes find it.
        kind: of its results.
        file: where finished runs are kept, and taken from; None: nowhere.
        n_jobs: processes at a time; 0 to play nothing, and return what the file has.
        describe: a result in a line.

    Raises:
        ConfigError, DataError: if the file cannot be used, or another line of it is no run.
    """
    done = {} if file is None else journal.read(file, kind)
    found: dict[Hashable, Result] = {
        setting: done[setting] for setting in settings if setting in done
    }
    if found:
        tell(f"{len(found)} of {len(settings)} runs are in {file}")
    if n_jobs == 0:
        return list(found.values())
    missing = [setting for setting in settings if setting not in found]
    for result in run_all(run, missing, n_jobs):
        found[result.setting] = result
        if file is not None:
            journal.append(file, result)
        tell(f"{len(found)}/{len(settings)} {describe(result)}")
    tell("")
    return [found[setting] for setting in settings]
