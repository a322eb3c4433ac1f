"""Plays a scenario according to its kind."""

from collections.abc import Callable, Mapping
from pathlib import Path

from firmware_sim.scenario import clones, conditions, cuts
from firmware_sim.scenario.outcome import Outcome
from firmware_sim.scenario.plan import Scenario
from firmware_sim.tiers.base import Tell
from firmware_sim.tiers.system import TIER

_Play = Callable[[str, Scenario, Path, int, Tell], Outcome]

_PLAYS: Mapping[str, _Play] = {
    "none": conditions.play,
    "pull": conditions.play,
    "move": conditions.play,
    "fill": conditions.play,
    "cuts": cuts.play,
    "copies": clones.play_copies,
    "snapshots": clones.play_snapshots,
}


def play(name: str, scenario: Scenario, folder: Path, seed: int, tell: Tell) -> Outcome:
    """Play it on the tier `system`.

    Args:
        name: for the outcome.
        scenario: what happens.
        folder: a new one for all files.
        seed: of all random choices; the same seed plays the same scenario, timing aside.
        tell: takes lines of progress.

    Raises:
        EmulationError: if the harness itself fails, or the device does nothing for too long.
    """
    TIER.prepare(scenario.on, tell)
    return _PLAYS[scenario.fault](name, scenario, folder, seed, tell)
