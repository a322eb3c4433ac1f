"""Turns the totals noted by the measured process into figures per update."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OTHER = "  other"
_LEAST_US = 0.5  # a package that takes less counts as other


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of one fleet size.

    Attributes:
        n_devices: that took part.
        n_updates: that were accepted in the measured time.
        update_bytes: the mean size of a payload.
        updates_per_s: by wall-clock time, from the first packet to the last answer.
        cpu_us: CPU time of the aggregator process per update.
        stages_us: the same by thread, and the main thread's by package.
        instructions: per update, in user mode; None where they cannot be counted.
        birth_us: CPU time per birth, from the first birth until the round opens.
        close_us: CPU time per update to close the round, make the model and open the next round.
        peak_bytes: the most memory that the process ever used, including loading.
        disk_bytes: in the state directory, once it holds all updates of the first round.
        notes: why a figure is missing, or what it does not include.
    """

    n_devices: int
    n_updates: int
    update_bytes: float
    updates_per_s: float
    cpu_us: float
    stages_us: Mapping[str, float]
    instructions: float | None
    birth_us: float
    close_us: float
    peak_bytes: int | None
    disk_bytes: int
    notes: Mapping[str, str]


def spent(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The difference between two marks, also for each package."""
    found: dict[str, Any] = {}
    for name, value in after.items():
        if name == "rooms_ns":
            rooms = before[name]
            found[name] = {room: ns - rooms.get(room, 0) for room, ns in value.items()}
        else:
            found[name] = None if value is None or before[name] is None else value - before[name]
    return found


def added(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The sum of several differences."""
    total: dict[str, Any] = dict(parts[0])
    for part in parts[1:]:
        for name, value in part.items():
            if name == "rooms_ns":
                rooms = total[name]
                total[name] = {
                    room: rooms.get(room, 0) + value.get(room, 0) for room in {**rooms, **value}
                }
            else:
                total[name] = None if value is None or total[name] is None else total[name] + value
    return total


def stages_us(total: Mapping[str, Any], n_updates: int) -> dict[str, float]:
    """CPU time per update: the network thread's, then the main thread's by package."""
    each = 1e3 * n_updates
    stages = {
        "network thread, user": total["network_user_ns"] / each,
        "network thread, kernel": total["network_system_ns"] / each,
        "main thread": total["main_ns"] / each,
    }
    rooms = {room: ns / each for room, ns in total["rooms_ns"].items()}
    small = sum(us for room, us in rooms.items() if us < _LEAST_US or room == "other")
    named = {room: us for room, us in rooms.items() if us >= _LEAST_US and room != "other"}
    for room, us in sorted(named.items(), key=lambda one: -one[1]):
        stages[f"  {room}"] = us
    return {**stages, OTHER: small}
