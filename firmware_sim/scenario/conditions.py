"""One device under bad conditions: little memory, a small disk, a wrong clock, a bad link."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from firmware_sim.emulator.console import Console
from firmware_sim.emulator.hardware import BROKER_ADDRESS, HOST_ADDRESS
from firmware_sim.errors import EmulationError
from firmware_sim.scenario.certificates import Door
from firmware_sim.scenario.computer import Computer
from firmware_sim.scenario.outcome import Outcome
from firmware_sim.scenario.plan import Scenario
from firmware_sim.scenario.stage import Stage
from firmware_sim.tiers.base import Tell

_NAME = "broker.test"
_FILLER = "/base/job/filler"
_FILL = (
    "free=$(df -k /base/job | awk 'END {{ print $4 }}'); "
    f"dd if=/dev/zero of={_FILLER} bs=1024 count=$((free - {{free_kb}})) && sync"
)


def play(name: str, scenario: Scenario, folder: Path, seed: int, tell: Tell) -> Outcome:
    """Play a scenario, and compare the outcome with what its file says."""
    began_s = time.monotonic()
    with Stage(scenario, folder, seed) as stage, ExitStack() as stack:
        port = stage.open()
        port_after = stage.free_port()
        flags: dict[str, object] = {"broker": f"mqtt://{_NAME}:{port}"}
        if scenario.tls:
            door = stack.enter_context(Door(folder / "tls", port, _NAME))
            flags = {"broker": f"mqtts://{_NAME}:{door.port}", "ca-file": "ca.pem"}
        job = stage.device("device", flags)
        if scenario.tls:
            (job.folder / "ca.pem").write_bytes(door.certificate.read_bytes())
        computer = stack.enter_context(Computer(scenario, job, forward=(port, port_after)))
        facts = _run(stage, computer, port_after, tell)
        log = computer.log
    facts["rounds"] = len(stage.rounds())
    return Outcome(
        name=name,
        seed=seed,
        wall_s=round(time.monotonic() - began_s, 1),
        faults=tuple(_faults(scenario, facts, log)),
        facts=facts,
    )


def _run(stage: Stage, computer: Computer, port_after: int, tell: Tell) -> dict[str, Any]:
    """Run until the device ends or has taken too long."""
    until_s = time.monotonic() + stage.scenario.patience_s
    console = computer.boot().console
    tell(f"the {stage.scenario.on.title} is up")
    console.expect(_hosts(HOST_ADDRESS))
    if stage.scenario.fault == "fill":
        console.expect(_FILL.format(free_kb=stage.scenario.free_kb))
    console.send("run")
    facts: dict[str, Any] = {}
    if stage.scenario.fault in {"pull", "move"}:
        goal = stage.scenario.after_round
        stage.await_(lambda: len(stage.rounds()) >= goal, f"round {goal}", until_s)
        _ACTS[stage.scenario.fault](stage, computer, port_after, tell)
        n_before, acted_s = len(stage.rounds()), time.monotonic()
        stage.await_(lambda: len(stage.rounds()) > n_before, "the next round", until_s)
        facts["next_round_after_s"] = round(time.monotonic() - acted_s, 1)
    facts["exit_code"] = _exit_code(stage, computer, console, until_s)
    facts["killed_by_kernel"] = [line for line in console.kernel if "Killed process" in line]
    facts["last_words"] = last_line(computer.log)
    if stage.scenario.fault == "fill":
        tell("there is room on the card again")
        console.expect(f"rm {_FILLER}")
        console.forget_exit()
        console.send("run")
        facts["exit_code_with_room"] = console.await_exit(max(1.0, until_s - time.monotonic()))
    computer.shut_down()
    return facts


def _exit_code(stage: Stage, computer: Computer, console: Console, until_s: float) -> int:
    """The device's exit code; 0 if it should keep running."""
    if not stage.scenario.lives:
        return console.await_exit(max(1.0, until_s - time.monotonic()))
    words = stage.scenario.says
    stage.await_(lambda: words in computer.log, repr(words), until_s)
    return console.exit_code or 0


def _pull(stage: Stage, computer: Computer, _port_after: int, tell: Tell) -> None:
    machine = computer.machine
    if machine is None:
        raise EmulationError("a machine without power has no cable to pull")
    tell(f"the cable is unplugged for {stage.scenario.pulled_s:g} s")
    machine.monitor.set_link(is_up=False)
    time.sleep(stage.scenario.pulled_s)
    machine.monitor.set_link(is_up=True)


def _move(stage: Stage, computer: Computer, port_after: int, tell: Tell) -> None:
    """Broker and aggregator move to another address, and their name follows them."""
    if computer.machine is None:
        raise EmulationError("a machine without power has no names")
    tell("the broker moves to another address")
    stage.close()
    stage.open(port_after)
    computer.machine.console.expect(_hosts(BROKER_ADDRESS))


_ACTS = {"pull": _pull, "move": _move}


def _hosts(address: str) -> str:
    """The command that points the broker's name to this address in the guest."""
    return f"echo {address} {_NAME} > /etc/hosts"


def _faults(scenario: Scenario, facts: dict[str, Any], log: str) -> Iterator[str]:
    if facts["exit_code"] != scenario.exit_code:
        yield f"the device ended with {facts['exit_code']}, not {scenario.exit_code}"
    if scenario.says not in log:
        yield f"the device did not say {scenario.says!r}; its last line was {facts['last_words']!r}"
    if facts["killed_by_kernel"]:
        yield f"the kernel killed it: {facts['killed_by_kernel'][0]}"
    if facts.get("exit_code_with_room", 0) != 0:
        yield f"with space on the disk again it ended with {facts['exit_code_with_room']}"
    is_done = scenario.exit_code == 0 and not scenario.lives
    if (is_done or scenario.fault == "fill") and facts["rounds"] != scenario.rounds:
        yield f"{facts['rounds']} rounds ended, not {scenario.rounds}"


def last_line(log: str) -> str:
    """The last line of a program's output."""
    lines = [line for line in log.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
