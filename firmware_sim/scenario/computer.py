"""The board of a scenario: one disk, powered again and again."""

from pathlib import Path
from typing import Self

from firmware_sim.build.disk import make_overlay
from firmware_sim.build.job import LOG, OURS, fetch_job
from firmware_sim.emulator.machine import Machine
from firmware_sim.scenario.plan import Scenario
from firmware_sim.tiers.base import Job
from firmware_sim.tiers.system import SystemMode

_BOOT_S = 120.0
_TC = "chroot /base /sbin/tc"


class Computer:
    """A board with a job's disk; leaving it as a context takes its power away.

    Args:
        scenario: which board, and under what conditions.
        job: what it runs when `Machine.console` is told `run`.
        forward: leads the address 10.0.2.100 to a port of this machine; see `hardware.Network`.
        is_kept: whether it can be kept in a snapshot.

    Attributes:
        machine: None without power.
    """

    def __init__(
        self,
        scenario: Scenario,
        job: Job,
        *,
        forward: tuple[int, int] | None = None,
        is_kept: bool = False,
    ) -> None:
        self._scenario, self.job = scenario, job
        mode = SystemMode(memory_mb=scenario.memory_mb, disk_mb=scenario.disk_mb, forward=forward)
        self.disk: Path = mode.disk(scenario.on, job)
        disk, kind = self.disk, "raw"
        if is_kept:
            disk, kind = self.disk.with_suffix(".qcow2"), "qcow2"
            make_overlay(disk, self.disk)
        self._hardware = mode.hardware(scenario.on, disk, image_format=kind, starts=False)
        self.machine: Machine | None = None

    @property
    def log(self) -> str:
        """What the program has said since the first boot."""
        file = self.job.folder / LOG
        return file.read_text(errors="replace") if file.exists() else ""

    def boot(self) -> Machine:
        """Give it power, wait until it is up, and make its link what it should be.

        Raises:
            EmulationError: if it does not come up.
        """
        self.machine = Machine(
            self._hardware,
            self.job.folder / OURS,
            program_log=self.job.folder / LOG,
            clock_s=self._scenario.clock_s(),
        )
        self.machine.console.await_ready(_BOOT_S)
        for command in link_commands(self._scenario):
            self.machine.console.expect(command)
        return self.machine

    def cut(self) -> None:
        """Take the power away."""
        if self.machine is not None:
            self.machine.cut()
        self.machine = None

    def power_down(self) -> None:
        """Write all to the disk, then take the power away."""
        if self.machine is not None:
            self.machine.shut_down()
        self.machine = None

    def shut_down(self) -> None:
        """As `power_down`, and bring the job's folder back."""
        self.power_down()
        fetch_job(self.disk, self.job.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()


def link_commands(scenario: Scenario) -> list[str]:
    """What makes the guest's link as bad as the scenario says.

    The guest's kernel delays, drops and paces what leaves its interface; what comes in is turned
    to a second interface first, which is left the same way.
    """
    words = []
    if scenario.delay_ms or scenario.jitter_ms:
        words.append(f"delay {scenario.delay_ms:g}ms {scenario.jitter_ms:g}ms")
    if scenario.loss_percent:
        words.append(f"loss {scenario.loss_percent:g}%")
    if scenario.rate_kbit:
        words.append(f"rate {scenario.rate_kbit:g}kbit")
    if not words:
        return []
    netem = f"root netem {' '.join(words)}"
    turn = "matchall action mirred egress redirect dev ifb0"
    return [
        "ip link set ifb0 up",
        f"{_TC} qdisc add dev eth0 {netem}",
        f"{_TC} qdisc add dev ifb0 {netem}",
        f"{_TC} qdisc add dev eth0 handle ffff: ingress",
        f"{_TC} filter add dev eth0 parent ffff: protocol all {turn}",
    ]
