"""What a fleet's run may be asked for."""

from dataclasses import dataclass
from pathlib import Path

from fedge.setting import setting_of
from fedge.simulation.options import DemoOptions
from firmware_sim.fleet.members import Member


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """One run; `docs/arm.md` explains it. Model, data and training are the demo's.

    Attributes:
        folder: a new folder for all that the run makes.
        is_capped: whether no device may map more memory than its board has; on tier user only.
        patience_s: without any news before the run is given up.
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
