"""Boards made from one image: a copied card, and a machine woken twice."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from firmware_sim import host
from firmware_sim.emulator.hardware import HOST_ADDRESS
from firmware_sim.emulator.machine import Machine
from firmware_sim.emulator.snapshot import Snapshot, take, wake
from firmware_sim.errors import EmulationError
from firmware_sim.scenario import warm
from firmware_sim.scenario.computer import Computer
from firmware_sim.scenario.outcome import Outcome
from firmware_sim.scenario.plan import Scenario
from firmware_sim.scenario.stage import DEVICE, Stage
from firmware_sim.tiers.base import Tell

_STEP_S = 120.0  # for each step
_POLL_S = 0.05
_NUMBERS = re.compile(rf"^{warm.NUMBERS} ([0-9a-f]{{32}}) at (\d+)$", re.MULTILINE)


def play_copies(name: str, scenario: Scenario, folder: Path, seed: int, tell: Tell) -> Outcome:
    """A device trains, its card is copied, and both boards run under one id."""
    began_s = time.monotonic()
    with Stage(scenario, folder, seed) as stage, ExitStack() as stack:
        flags = {"broker": f"mqtt://{HOST_ADDRESS}:{stage.open()}"}
        first = stack.enter_context(Computer(scenario, stage.device("first", flags)))
        _train_once(stage, first)
        second = stack.enter_context(Computer(scenario, stage.device("second", flags)))
        shutil.copyfile(first.disk, second.disk)
        tell("the card is copied")
        facts = _both(stage, first, second)
        log = second.log
    faults = []
    if facts["exit_code_of_copy"] != scenario.exit_code:
        faults.append(f"the copy ended with {facts['exit_code_of_copy']}, not {scenario.exit_code}")
    if scenario.says not in log:
        faults.append(f"the copy did not say {scenario.says!r}; see {folder}")
    if facts["rounds_after"] < 1 or facts["exit_code_of_first"] != 0:
        faults.append("the first device did not go on")
    wall_s = round(time.monotonic() - began_s, 1)
    return Outcome(name=name, seed=seed, wall_s=wall_s, faults=tuple(faults), facts=facts)


def _train_once(stage: Stage, computer: Computer) -> None:
    """Run a device until it has an identity and a history."""
    console = computer.boot().console
    console.send("run")
    _await(stage, lambda: len(stage.rounds()) > 0)
    console.send("end TERM")
    console.await_exit(_STEP_S)
    computer.power_down()


def _both(stage: Stage, first: Computer, second: Computer) -> dict[str, Any]:
    here, there = first.boot().console, second.boot().console
    n_before = len(stage.rounds())
    here.send("run")
    _await(stage, lambda: len(stage.rounds()) > n_before)
    there.send("run")
    code = there.await_exit(_STEP_S)
    n_then = len(stage.rounds())
    _await(stage, lambda: len(stage.rounds()) > n_then)
    n_after = len(stage.rounds()) - n_then
    here.send("end TERM")
    return {
        "exit_code_of_copy": code,
        "rounds_after": n_after,
        "exit_code_of_first": here.await_exit(_STEP_S),
    }


def play_snapshots(name: str, scenario: Scenario, folder: Path, seed: int, tell: Tell) -> Outcome:
    """A machine with a loaded runtime is saved, and woken twice as two devices of one job."""
    began_s = time.monotonic()
    with Stage(scenario, folder, seed) as stage, ExitStack() as stack:
        port = stage.open(wait_for=2)
        kept, cold_s = _keep_warm(stage)
        tell(f"a loaded runtime was saved {cold_s:.1f} s after power-on")
        alike = _control(kept, folder)
        woken = [_Woken(stage, kept, port, number) for number in (1, 2)]
        for one in woken:
            stack.callback(one.machine.cut)
        codes = [one.machine.console.await_exit(_STEP_S) for one in woken]
    facts = {
        "cold_s": round(cold_s, 1),
        "wake_s": [round(one.wake_s, 2) for one in woken],
        "clock_error_s": [one.clock_error_s for one in woken],
        "alike_without_reseeding": alike,
        "devices_in_rounds": [one["devices_accepted"] for one in stage.rounds()],
    }
    faults = list(_faults(scenario, woken, codes, facts))
    wall_s = round(time.monotonic() - began_s, 1)
    return Outcome(name=name, seed=seed, wall_s=wall_s, faults=tuple(faults), facts=facts)


def _faults(
    scenario: Scenario, woken: "list[_Woken]", codes: list[int], facts: dict[str, Any]
) -> Iterator[str]:
    if len({one.numbers for one in woken}) != len(woken):
        yield "two machines woken from one have the same random numbers"
    if max(facts["clock_error_s"]) > 2:
        yield f"the clocks are wrong by {facts['clock_error_s']} s"
    if codes != [0, 0]:
        yield f"the devices ended with {codes}"
    if facts["devices_in_rounds"] != [2] * scenario.rounds:
        yield f"expected two devices in each round, found {facts['devices_in_rounds']}"


def _keep_warm(stage: Stage) -> tuple[Snapshot, float]:
    """A machine whose program has loaded everything but has no name yet; and how long that took."""
    job = stage.device("kept", {}, before=["warm.py"])
    shutil.copy(warm.__file__, job.folder / "warm.py")
    began_s = time.monotonic()
    with Computer(stage.scenario, job, is_kept=True) as computer:
        machine = computer.boot()
        machine.console.send("run")
        _await(stage, lambda: warm.WARM in computer.log)
        cold_s = time.monotonic() - began_s
        return take(machine), cold_s


def _control(kept: Snapshot, folder: Path) -> bool:
    """Whether two machines draw the same random numbers if nobody reseeds them."""
    drawn = set()
    for number in (1, 2):
        with wake(kept, folder / f"alike-{number}", is_reseeded=False) as machine:
            _go(machine, "--version")
            drawn.add(_numbers(machine)[0])
    return len(drawn) == 1


class _Woken:
    """One of the woken machines, and what it reported."""

    def __init__(self, stage: Stage, kept: Snapshot, port: int, number: int) -> None:
        began_s = time.monotonic()
        self.machine = wake(kept, stage.folder / f"woken-{number}")
        self.wake_s = time.monotonic() - began_s
        flags = stage.flags({"broker": f"mqtt://{HOST_ADDRESS}:{port}", "id": f"{DEVICE}-{number}"})
        _go(self.machine, f"device {' '.join(host.words(flags))}")
        self.numbers, shown_s = _numbers(self.machine)
        now_s = int(time.time())  # noqa: TID251 - compared with the guest's clock
        self.clock_error_s = abs(now_s - shown_s)


def _go(machine: Machine, words: str) -> None:
    there = "/base/job/files"
    machine.console.expect(f"echo '{words}' > {there}/new && mv {there}/new {there}/go")


def _numbers(machine: Machine) -> tuple[str, int]:
    end_s = time.monotonic() + _STEP_S
    while time.monotonic() < end_s:
        found = _NUMBERS.search(machine.program_log.read_text(errors="replace"))
        if found:
            return found[1], int(found[2])
        time.sleep(_POLL_S)
    raise EmulationError(f"the woken program says nothing; see {machine.program_log}")


def _await(stage: Stage, is_there: Callable[[], bool]) -> None:
    stage.await_(is_there, "what the scenario waits for", time.monotonic() + _STEP_S)
