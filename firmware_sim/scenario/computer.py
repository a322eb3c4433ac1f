"""The board of a scenario: one disk, powered up again and again."""

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
    """A board with a job's disk; leaving it as a context cuts its power.

    Args:
        scenario: which board, and under what conditions.
        job: what it runs when `Machine.console` gets the command `run`.
        forward: forwards 10.0.2.100 to a port on this machine; see `hardware.Network`.
        is_kept: whether it can be saved in a snapshot.

    Attributes:
        machine: None while the power is off.
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
        """The program's output since the first boot."""
        file = self.job.folder / LOG
        return file.read_text(errors="replace") if file.exists() else ""

    def boot(self) -> Machine:
        """Power it on, wait until it is up, and set up its link.

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
        """Cut the power."""
        if self.machine is not None:
            self.machine.cut()
        self.machine = None

    def power_down(self) -> None:
        """Write everything to the disk, then cut the power."""
        if self.machine is not None:
            self.machine.shut_down()
        self.machine = None

    def shut_down(self) -> None:
        """Like `power_down`, and copy the job's folder back."""
        self.power_down()
        fetch_job(self.disk, self.job.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()


def link_commands(scenario: Scenario) -> list[str]:
    """The commands that degrade the guest's link as the scenario says.

    The guest's kernel delays, drops and paces packets that leave its interface; incoming ones are
    redirected to a second interface first, and leave that in the same way.
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
