"""All cards: this machine's, Flower's next to it, then each board's."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedge.bench.device import native
from fedge.bench.device.figures import Card
from fedge.bench.device.options import Options
from fedge.simulation.demo import prepare
from firmware_sim.bench.cards import boards
from firmware_sim.bench.cards.column import Column
from firmware_sim.boards import Board
from firmware_sim.errors import ArchiveError, EmulationError
from firmware_sim.tiers.base import RunsPrograms, Tell

_HERE = "this machine"


@dataclass(frozen=True, slots=True)
class Cards:
    """The measurements.

    Attributes:
        columns: in order.
        missing: sentences about what cannot be measured in this setup.
        failed: sentences about what should have been measured but was not.
    """

    columns: list[Column]
    missing: list[str]
    failed: list[str]


def measure(chosen: Sequence[Board], tier: str | None, options: Options, tell: Tell) -> Cards:
    """The same job on this machine and on each board, one after the other.

    Args:
        chosen: boards; those that cannot run on the tier are listed in `missing`.
        tier: its name; None means, for each board, the one that may claim the most.
        options: the job's; its peer runs on this machine.
        tell: takes a line of progress.

    Raises:
        EmulationError: if no board can run on the tier.
    """
    tiers, missing = _tiers(chosen, tier)
    tiers, unavailable = _prepared(tiers, tell)
    missing += unavailable
    here = native.measure(options, tell)
    columns, failed = list(_native(here.cards)), []
    with tempfile.TemporaryDirectory(prefix="fedge-cards-") as temporary:
        folder = Path(temporary)
        demo = native.as_demo(options, folder)
        ready = prepare(demo)
        for board, where in tiers:
            tell(f"{board.name}: the same on tier {where.name}")
            try:
                columns.append(boards.measure(board, where, demo, ready, folder / board.name))
            except EmulationError as error:  # keep the others' quarter of an hour
                failed.append(str(error))
    return Cards(columns, [*missing, *here.missing], failed)


def _tiers(
    chosen: Sequence[Board], tier: str | None
) -> tuple[list[tuple[Board, RunsPrograms]], list[str]]:
    """The tier each board runs on, and why the other boards cannot run."""
    found, refused = [], []
    for board in chosen:
        try:
            found.append((board, boards.tier_for(board, tier)))
        except EmulationError as error:
            refused.append(str(error))
    if not found:
        raise EmulationError("; ".join(refused))
    return found, refused


def _prepared(
    tiers: Sequence[tuple[Board, RunsPrograms]], tell: Tell
) -> tuple[list[tuple[Board, RunsPrograms]], list[str]]:
    """The boards that are ready, and what archives failed to deliver for the others."""
    found, unavailable = [], []
    for board, where in tiers:
        tell(f"preparing {board.title}")
        try:
            where.prepare(board, tell)
            found.append((board, where))
        except ArchiveError as error:
            unavailable.append(f"{board.title}: {error}")
    return found, unavailable


def _native(cards: Sequence[Card]) -> Iterator[Column]:
    for name, card in zip(("native", "Flower"), cards, strict=False):
        engine = card.who.rpartition(", ")[2]
        yield Column(name=name, place=_HERE, engine=engine, card=card, machine={})
