"""How the settings have changed since a round was opened."""

from dataclasses import asdict
from typing import Any

from fedge.config.aggregator import AggregatorConfig
from fedge.messages import RoundManifest


def is_outdated(manifest: RoundManifest, config: AggregatorConfig) -> bool:
    """Whether the settings ask devices for something other than this manifest does."""
    return _asked(manifest) != _wanted(config)


def describe(manifest: RoundManifest, quorum: int, config: AggregatorConfig) -> str:
    """Every change as `name old -> new`; "" if there is none.

    Args:
        manifest: the open round's.
        quorum: the one it was opened with.
        config: the current settings.
    """
    before = {**_asked(manifest), "quorum": quorum}
    after = {**_wanted(config), "quorum": config.quorum}
    changed = (name for name in before if before[name] != after[name])
    return ", ".join(f"{name} {before[name]} -> {after[name]}" for name in changed)


def _asked(manifest: RoundManifest) -> dict[str, Any]:
    own = {"deadline_s": manifest.deadline_s, "parts": manifest.parts}
    return {**asdict(manifest.plan), **own}


def _wanted(config: AggregatorConfig) -> dict[str, Any]:
    return {**asdict(config.plan()), "deadline_s": config.deadline_s, "parts": config.parts}
