"""The power fails again and again, each time in a different phase of a round."""

import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from firmware_sim.emulator.hardware import HOST_ADDRESS
from firmware_sim.errors import EmulationError
from firmware_sim.scenario import program
from firmware_sim.scenario.balance import check_balance
from firmware_sim.scenario.computer import Computer
from firmware_sim.scenario.ledger import Account, Kept, follow, look_up
from firmware_sim.scenario.outcome import Outcome
from firmware_sim.scenario.plan import Scenario
from firmware_sim.scenario.stage import Stage
from firmware_sim.tiers.base import Job, Tell

_PHASE_S = 120.0  # for a device to reach a phase
_POLL_S = 0.02
_LONGEST_S = 0.5  # between reaching it and the cut; the network keeps running meanwhile
_NO_FLUSH = {"LD_PRELOAD": "libeatmydata.so"}  # fsync returns at once and does nothing


@dataclass(slots=True)
class _Story:
    """What is known about a device that loses its power."""

    kept: Kept = field(default_factory=Kept)
    rounds: dict[str, int] = field(default_factory=dict)
    accepted: frozenset[str] = frozenset()
    faults: list[str] = field(default_factory=list)
    cuts: list[dict[str, Any]] = field(default_factory=list)


def play(name: str, scenario: Scenario, folder: Path, seed: int, tell: Tell) -> Outcome:
    """Cut the power as often as the scenario says, let the device finish, and add everything up."""
    began_s = time.monotonic()
    rng = random.Random(seed)  # noqa: S311 - must be reproducible
    n_broken = _control(scenario, folder / "control", seed, tell)
    story = _Story()
    with Stage(scenario, folder, seed) as stage:
        port = stage.open()
        job = _job(stage, "device", port, "-", {})
        with Computer(scenario, job) as computer:
            for number, place in enumerate(_places(scenario.n_cuts, rng), start=1):
                _cut(computer, place, rng.uniform(0, _LONGEST_S), story)
                tell(f"cut {number} of {scenario.n_cuts}, {place}: {_summary(story)}")
            _finish(stage, computer, story)
        story.faults += check_balance(stage, job.folder, story.rounds, story.accepted)
    if scenario.n_controls and not n_broken:
        story.faults.append("a device that never flushes lost nothing, so this proves nothing")
    facts = {"cuts": story.cuts, "rounds": scenario.rounds, "controls": scenario.n_controls}
    return Outcome(
        name=name,
        seed=seed,
        wall_s=round(time.monotonic() - began_s, 1),
        faults=tuple(story.faults),
        facts={**facts, "controls_broken": n_broken},
    )


def _places(n: int, rng: random.Random) -> Iterator[str]:
    """All places in a random order, then again in another."""
    while n > 0:
        some = rng.sample(sorted(program.PLACES), k=min(n, len(program.PLACES)))
        yield from some
        n -= len(some)


def _job(stage: Stage, name: str, port: int, place: str, environment: dict[str, str]) -> Job:
    """The device's program; the place where it stops is written to the disk at each boot."""
    flags = {"broker": f"mqtt://{HOST_ADDRESS}:{port}"}
    job = stage.device(name, flags, before=["program.py", place], environment=environment)
    shutil.copy(program.__file__, job.folder / "program.py")
    return job


def _cut(computer: Computer, place: str, delay_s: float, story: _Story) -> None:
    """One life of the device: from power-on to the cut, in one phase."""
    began_s, n_said = time.monotonic(), len(computer.log)
    console = computer.boot().console
    booted_s = time.monotonic() - began_s
    console.expect(f"sed -i 's/program.py [a-z-]*/program.py {place}/' /base/job/run.sh && sync")
    recovered = "recovery complete" in console.call("dmesg").text
    console.send("run")
    _await_phase(computer, n_said)
    time.sleep(delay_s)
    computer.cut()
    account = follow(story.kept, computer.log[n_said:])
    found, wrong = look_up(computer.disk)
    story.cuts.append(
        {
            "place": place,
            "delay_s": round(delay_s, 3),
            "booted_s": round(booted_s, 1),
            "recovered": recovered,
            "wrong": list(_wrong(account, found, wrong, place)),
        }
    )
    _learn(story, account, found)


def _await_phase(computer: Computer, n_said: int) -> None:
    end_s = time.monotonic() + _PHASE_S
    while program.STANDS not in computer.log[n_said:]:
        machine = computer.machine
        if time.monotonic() > end_s or machine is None or machine.console.exit_code is not None:
            raise EmulationError(f"the device did not get there; see {computer.job.folder}")
        time.sleep(_POLL_S)


def _wrong(account: Account, found: Kept, wrong: str, place: str) -> Iterator[str]:
    if wrong:
        yield f"after the cut at {place}: {wrong}"
    if found not in (account.done, account.possible):
        yield f"after the cut at {place}: expected {account.done}, found {found}"
    if account.n_refused:
        yield f"before the cut at {place}: {account.n_refused} updates were refused"


def _learn(story: _Story, account: Account, found: Kept) -> None:
    """What was found is what the next life starts with."""
    story.kept = found
    story.rounds |= account.rounds
    story.accepted |= account.accepted
    story.faults += story.cuts[-1]["wrong"]


def _finish(stage: Stage, computer: Computer, story: _Story) -> None:
    """A last life, until the end of the job."""
    n_said = len(computer.log)
    console = computer.boot().console
    console.expect("sed -i 's/program.py [a-z-]*/program.py -/' /base/job/run.sh && sync")
    console.send("run")
    code = console.await_exit(stage.scenario.patience_s)
    computer.shut_down()
    account = follow(story.kept, computer.log[n_said:])
    story.kept, story.rounds = account.done, {**story.rounds, **account.rounds}
    story.accepted |= account.accepted
    if code != 0 or account.n_refused or account.done.pending:
        story.faults.append(f"the device ended with {code}, and {account.done.pending} unanswered")


def _control(scenario: Scenario, folder: Path, seed: int, tell: Tell) -> int:
    """How often a device that never flushes had lost what it said it had kept."""
    n_broken = 0
    if scenario.n_controls:
        with Stage(scenario, folder, seed) as stage:
            port = stage.open()
            for number in range(1, scenario.n_controls + 1):
                story = _Story()
                job = _job(stage, f"device-{number}", port, "kept", _NO_FLUSH)
                with Computer(replace(scenario, n_cuts=1), job) as computer:
                    _cut(computer, "kept", 0.0, story)
                n_broken += bool(story.faults)
                tell(f"control {number} of {scenario.n_controls}: {_summary(story)}")
    return n_broken


def _summary(story: _Story) -> str:
    cut = story.cuts[-1]
    state = "; ".join(cut["wrong"]) or "all is there"
    return f"{state} (up after {cut['booted_s']} s)"
