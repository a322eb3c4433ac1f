"""The fleet run: trained on boards, then repeated on this machine and compared."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from fedge.errors import ConfigError
from fedge.simulation.demo import prepare
from fedge.simulation.options import DemoOptions
from fedge.transport.url import LOOPBACK
from firmware_sim.errors import EmulationError
from firmware_sim.fleet import native
from firmware_sim.fleet.check import compare
from firmware_sim.fleet.members import Member
from firmware_sim.fleet.options import FleetOptions
from firmware_sim.fleet.stage import Place, perform
from firmware_sim.tiers.base import Guest, Job, RunsPrograms, Tell
from firmware_sim.tiers.named import running_tier
from firmware_sim.tiers.user import UserMode


def run(options: FleetOptions, tell: Tell) -> Iterator[dict[str, Any]]:
    """Prepare, train, train again from records, compare.

    Yields the aggregator's events of the emulated run; then `ended` with each device's seconds;
    then, after the native run, `checked` with the result of the comparison.

    Raises:
        EmulationError: if a board cannot be emulated on the tier, or a run is cut short.
    """
    tier = _tier(options)
    _prepare_boards(tier, options.members, tell)
    ready = prepare(_as_demo(options))
    boards = Place(
        folder=options.folder,
        start=lambda member, job: _start(tier, member, job),
        loopback=lambda member: tier.loopback if member.board else LOOPBACK,
    )
    yield from perform(options, ready, boards)
    tell("repeating the run on this machine alone, with the recorded deltas")
    again = _natively(options)
    for _ in perform(options, ready, again):
        pass
    found = compare(options.folder, again.folder)
    yield {"event": "checked", **dataclasses.asdict(found)}


def _tier(options: FleetOptions) -> RunsPrograms:
    if not options.is_capped:
        return running_tier(options.tier)
    if options.tier != UserMode.name:
        raise ConfigError(f"--capped: boards on tier {options.tier} have their own memory")
    return UserMode(is_capped=True)


def _prepare_boards(tier: RunsPrograms, members: tuple[Member, ...], tell: Tell) -> None:
    boards = {member.board.name: member.board for member in members if member.board}
    for board in boards.values():
        refusal = tier.refusal(board)
        if refusal:
            raise EmulationError(f"{board.title} on tier {tier.name}: {refusal}")
    for board in boards.values():
        tell(f"preparing {board.title}")
        tier.prepare(board, tell)


def _as_demo(options: FleetOptions) -> DemoOptions:
    """The demo's model and training, and its way of dealing out examples."""
    return DemoOptions(
        out=options.folder,
        devices=len(options.members),
        data=options.data,
        codec=options.codec,
        local_steps=options.local_steps,
        seed=options.seed,
    )


def _start(tier: RunsPrograms, member: Member, job: Job) -> Guest:
    return tier.start(member.board, job) if member.board else native.start(job)


def _natively(options: FleetOptions) -> Place:
    return Place(
        folder=options.folder / "native",
        start=lambda _, job: native.start(job),
        loopback=lambda _: LOOPBACK,
        play=options.folder,
    )
