"""A machine kept while it runs, and woken as often as one likes.

What wakes is the same machine to the last bit, so what must not be the same is changed at once:
its clock, which stopped, and its kernel's random numbers, which would repeat. What a program has
in its own memory is its own matter: keep it before it has drawn a name or a seed.
"""

import secrets
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

from firmware_sim.emulator.hardware import Hardware
from firmware_sim.emulator.machine import Machine

_NAME = "warm"
# RNDRESEEDCRNG of linux/random.h: what was written to the pool counts from now on.
_RESEED = (
    "chroot /base /usr/bin/python3 -c "
    '\'import fcntl; pool = open("/dev/urandom", "wb", 0); '
    'pool.write(bytes.fromhex("{seed}")); fcntl.ioctl(pool, 0x5207)\''
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A machine that was kept.

    Attributes:
        hardware: its last drive is the one that holds it, a qcow2 image.
        token: of the boot that was kept.
    """

    hardware: Hardware
    token: str


def take(machine: Machine) -> Snapshot:
    """Keep a machine in its last drive, and take its power away.

    Raises:
        EmulationError: if a drive that can be written to is not a qcow2 image.
    """
    machine.monitor.save(_NAME)
    machine.cut()
    return Snapshot(machine.hardware, machine.token)


def wake(snapshot: Snapshot, folder: Path, *, is_reseeded: bool = True) -> Machine:
    """A copy of the machine, on a copy of its disk in this folder, at the time it is now.

    Args:
        snapshot: what to wake; it stays as it is.
        folder: for the disk and what the machine says.
        is_reseeded: False leaves the kernel's random numbers as they were, to show what comes
            of it.

    Raises:
        EmulationError: if it does not wake.
    """
    folder.mkdir(parents=True, exist_ok=True)
    *others, last = snapshot.hardware.drives
    own = folder / last.file.name
    shutil.copyfile(last.file, own)
    drives = (*others, replace(last, file=own))
    hardware = replace(snapshot.hardware, drives=drives)
    machine = Machine(hardware, folder, snapshot=(_NAME, snapshot.token))
    now_s = int(time.time())  # noqa: TID251 - the guest's clock is to show it
    machine.console.expect(f"date -s @{now_s}")
    if is_reseeded:
        machine.console.expect(_RESEED.format(seed=secrets.token_hex(32)))
    return machine
