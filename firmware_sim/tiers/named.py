"""The tiers by name."""

from importlib import import_module

from fedge.errors import ConfigError
from firmware_sim.tiers.base import RunsPrograms, Tier

TIERS = ("count", "user", "system", "board")  # the further right, the closer to a real board
RUNNING = TIERS[1:]


def tier(name: str) -> Tier:
    """The tier with this name; only its module is loaded.

    Raises:
        ConfigError: if there is none.
    """
    if name not in TIERS:
        raise ConfigError(f"there is no tier {name!r}: choose from {', '.join(TIERS)}")
    found: Tier = import_module(f"firmware_sim.tiers.{name}").TIER
    return found


def running_tier(name: str) -> RunsPrograms:
    """The tier with this name, which must be one that runs programs.

    Raises:
        ConfigError: if there is none, or it only counts.
    """
    if name in TIERS and name not in RUNNING:
        raise ConfigError(f"the tier {name!r} runs no programs: choose from {', '.join(RUNNING)}")
    found = tier(name)
    assert isinstance(found, RunsPrograms)  # noqa: S101 - one of the three just named
    return found
