"""The options of a fleet's run."""

from dataclasses import dataclass
from pathlib import Path

from fedge.setting import setting_of
from fedge.simulation.options import DemoOptions
from firmware_sim.fleet.members import Member


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """One run; `docs/arm.md` explains it. Model, data and training are the demo's.

    Attributes:
        folder: a new folder for everything the run produces.
        is_capped: whether each device may map only as much memory as its board has; tier user only.
        patience_s: time without news after which the run is given up.
    """

    folder: Path
    members: tuple[Member, ...]
    rounds: int = 3
    tier: str = "user"
    is_capped: bool = False
    data: Path | None = None  # None: the digits of the demo
    codec: str = setting_of(DemoOptions, "codec")
    local_steps: int | None = setting_of(DemoOptions, "local_steps")
    seed: int = setting_of(DemoOptions, "seed")
    patience_s: float = 600.0
