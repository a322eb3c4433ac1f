"""One board's card: broker and aggregator on this machine, only the device on the board."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

from fedge.bench.device.figures import Card
from fedge.simulation.demo import Prepared, plan_settings
from fedge.simulation.options import DemoOptions
from firmware_sim import host
from firmware_sim.bench.cards.claims import claimed
from firmware_sim.bench.cards.column import Column
from firmware_sim.bench.cards.debian import with_packages
from firmware_sim.boards import Board
from firmware_sim.errors import EmulationError
from firmware_sim.tiers.base import Guest, Job, RunsPrograms
from firmware_sim.tiers.named import running_tier
from firmware_sim.tiers.process import last_words
from firmware_sim.tiers.system import SystemMode
from firmware_sim.tiers.user import UserMode

PATIENCE_S = 1800.0  # for the slowest board's imports and rounds
_RESULT = "card.json"
_POLL_S = 0.1


def tier_for(board: Board, name: str | None) -> RunsPrograms:
    """The tier a card is measured on, limiting the board to its own memory if the tier can.

    Args:
        board: the board of the card.
        name: the tier's; None means the one that may claim the most for this board.

    Raises:
        EmulationError: if the tier cannot run the board's code.
    """
    if name is None:
        name = "board" if SystemMode().refusal(board) else "system"
    tier = _with_limits(board, name)
    refusal = tier.refusal(board)
    if refusal:
        raise EmulationError(f"{board.name} on tier {name}: {refusal}")
    return tier


def _with_limits(board: Board, name: str) -> RunsPrograms:
    if name == "system":
        return SystemMode(is_counted=_has_counter(board))
    capped = UserMode(is_capped=True)
    return capped if name == "user" and capped.refusal(board) is None else running_tier(name)


def _has_counter(board: Board) -> bool:
    """Whether QEMU's `virt` has an instruction counter for the processor: only 64-bit ones do."""
    return board.system.machine == "aarch64"


def measure(
    board: Board, tier: RunsPrograms, options: DemoOptions, ready: Prepared, folder: Path
) -> Column:
    """Have the board take part in its own job, and read its card.

    Args:
        board: already prepared on the tier.
        tier: where it runs.
        options: the job's.
        ready: the job's files; the board gets the first device's examples.
        folder: a new one for this run.

    Raises:
        EmulationError: if the board or the aggregator stops early.
    """
    is_counted = isinstance(tier, SystemMode) and tier.is_counted
    with (
        host.broker(folder / "broker") as broker,
        host.aggregator(
            folder / "aggregator", broker.url, ready.artifact, _flags(options, ready)
        ) as aggregator,
    ):
        url = f"mqtt://{tier.loopback}:{host.port_of(broker)}"
        # Start-ups yield times, which no tier may claim, and instructions.
        job = _job(board, url, ready, folder / board.name, repeats=int(is_counted))
        guest = tier.start(board, job)
        try:
            _await(board, guest, aggregator)
        finally:
            guest.stop()
    result = json.loads((job.folder / _RESULT).read_text())
    (card,) = map(Card.from_json, result["cards"])
    whole = claimed(with_packages(card, board.system), tier.name, is_counted=is_counted)
    return Column(
        name=board.name,
        place=f"tier {tier.name}",
        engine=board.system.engine,
        card=replace(whole, who=board.title),
        machine=result["machine"],
    )


def _flags(options: DemoOptions, ready: Prepared) -> dict[str, object]:
    return {
        "rounds": options.rounds,
        "downlink-codec": options.downlink_codec,
        "deadline-s": PATIENCE_S,
        **plan_settings(ready.plan),
    }


def _job(board: Board, url: str, ready: Prepared, folder: Path, *, repeats: int) -> Job:
    folder.mkdir(parents=True)
    shutil.copy(next(iter(ready.devices.values())), folder / "data.npz")
    flags = {
        "broker": url,
        "data": "data.npz",
        "json": _RESULT,
        "repeats": repeats,
        "engine": board.system.engine,
        "state-dir": "state",
    }
    return Job(words=["-m", "fedge", "bench", "device", *host.words(flags)], folder=folder)


def _await(board: Board, guest: Guest, aggregator: host.FedgeProcess) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while guest.is_running() and time.monotonic() < until_s:
        if aggregator.exit_code:
            raise EmulationError(f"the aggregator stopped early: {last_words(aggregator.log)}")
        time.sleep(_POLL_S)
    code = guest.wait(_POLL_S)
    if code:
        raise EmulationError(f"{board.name} ended with {code}: {last_words(guest.log)}")
