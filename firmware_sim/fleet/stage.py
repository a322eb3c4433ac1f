"""A fleet from start to end: broker, aggregator and one guest per member."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedge.simulation.demo import Prepared, plan_settings
from firmware_sim import host
from firmware_sim.errors import EmulationError
from firmware_sim.fleet import program
from firmware_sim.fleet.members import Member
from firmware_sim.fleet.options import FleetOptions
from firmware_sim.tiers.base import Guest, Job
from firmware_sim.tiers.process import last_words

RECORDS, REPORT = "records", "report.json"
_FLEET = "emulated"
_POLL_S = 0.1
_END_S = 120.0  # for a guest to end after the job is finished; a whole machine powers down


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a fleet runs.

    Attributes:
        folder: of the run; each member has its own folder in it.
        start: starts a member's program.
        loopback: the address at which a member reaches this machine's 127.0.0.1.
        play: the folder of a run whose deltas replace training; None to train.
    """

    folder: Path
    start: Callable[[Member, Job], Guest]
    loopback: Callable[[Member], str]
    play: Path | None = None

    def of(self, member: Member) -> Path:
        return self.folder / "devices" / member.id


def perform(options: FleetOptions, ready: Prepared, place: Place) -> Iterator[dict[str, Any]]:
    """Run all rounds and yield the aggregator's events, then `ended` with each guest's seconds.

    Every round waits for every device, so that the result does not depend on timing. Leaving the
    iterator at any point ends every process.

    Raises:
        EmulationError: if a device or the aggregator ends too soon, or nothing happens for long.
    """
    with ExitStack() as stack:
        broker = stack.enter_context(host.broker(place.folder / "broker"))
        aggregator = stack.enter_context(
            host.aggregator(
                place.folder / "aggregator", broker.url, ready.artifact, _flags(options, ready)
            )
        )
        guests: dict[str, Guest] = {}
        began_s = time.monotonic()
        for member, data in zip(options.members, ready.devices.values(), strict=True):
            job = _job(member, place, data, host.port_of(broker))
            guests[member.id] = place.start(member, job)
            stack.callback(guests[member.id].stop)
        yield from _events(aggregator, guests, options.patience_s)
        yield {"event": "ended", "wall_s": _await_ends(guests, began_s)}


def _flags(options: FleetOptions, ready: Prepared) -> dict[str, object]:
    n_devices = len(options.members)
    return {
        "fleet": _FLEET,
        "job": _FLEET,
        "test-data": ready.test.resolve(),
        "rounds": options.rounds,
        "wait-for": n_devices,
        "quorum": n_devices,
        "deadline-s": options.patience_s,
        "keep-models": options.rounds + 1,  # all of them are compared
        **plan_settings(ready.plan),
    }


def _job(member: Member, place: Place, data: Path, port: int) -> Job:
    """The member's folder with everything its program reads, and the program's arguments."""
    folder = place.of(member)
    folder.mkdir(parents=True)
    shutil.copy(program.__file__, folder / "program.py")
    shutil.copy(data, folder / "data.npz")
    play = []
    if place.play is not None:
        shutil.copytree(place.play / "devices" / member.id / RECORDS, folder / "played")
        play = ["--play", "played"]
    flags = {
        "broker": f"mqtt://{place.loopback(member)}:{port}",
        "fleet": _FLEET,
        "job": _FLEET,
        "id": member.id,
        "data": "data.npz",
        "state-dir": "state",
        "json": REPORT,
        "connect-timeout-s": _END_S,
    }
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    return Job(
        words=["program.py", RECORDS, *play, "device", *words, "--exit-when-finished"],
        folder=folder,
    )


def _events(
    aggregator: host.FedgeProcess, guests: dict[str, Guest], patience_s: float
) -> Iterator[dict[str, Any]]:
    """The aggregator's events up to the one that says it has finished."""
    n_told, news_s = 0, time.monotonic()
    while True:
        is_over = aggregator.exit_code is not None
        for event in host.events(aggregator.log.parent)[n_told:]:
            n_told, news_s = n_told + 1, time.monotonic()
            yield event
            if event["event"] == "finished":
                return
        if is_over:
            raise EmulationError(f"the aggregator stopped early: {last_words(aggregator.log)}")
        for name, guest in guests.items():
            # A guest that learned of the end before we read about it has ended well.
            if not guest.is_running() and guest.wait(_POLL_S) != 0:
                raise EmulationError(f"{name} stopped early: {last_words(guest.log)}")
        if time.monotonic() > news_s + patience_s:
            raise EmulationError(f"nothing has happened for {patience_s:g} s; see {aggregator.log}")
        time.sleep(_POLL_S)


def _await_ends(guests: dict[str, Guest], began_s: float) -> dict[str, float]:
    """Seconds from the start of the first guest to the end of each, as they end."""
    ends: dict[str, float] = {}
    until_s = time.monotonic() + _END_S
    while len(ends) < len(guests) and time.monotonic() < until_s:
        for name, guest in guests.items():
            if name not in ends and not guest.is_running():
                ends[name] = time.monotonic() - began_s
        time.sleep(_POLL_S)
    for name, guest in guests.items():
        code = guest.wait(_POLL_S)
        if code != 0:
            raise EmulationError(f"{name} ended with {code}: {last_words(guest.log)}")
    return ends
