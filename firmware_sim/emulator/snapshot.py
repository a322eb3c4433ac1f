"""A machine saved while running, which can be woken any number of times.

The woken machine is the same to the last bit, so what must differ is changed at once: its clock,
which stopped, and its kernel's random numbers, which would repeat. A program's own memory is its
own responsibility: save the machine before the program has drawn a name or a seed.
"""

import secrets
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

from firmware_sim.emulator.hardware import Hardware
from firmware_sim.emulator.machine import Machine

_NAME = "warm"
# RNDRESEEDCRNG of linux/random.h: what was written to the pool takes effect now.
_RESEED = (
    "chroot /base /usr/bin/python3 -c "
    '\'import fcntl; pool = open("/dev/urandom", "wb", 0); '
    'pool.write(bytes.fromhex("{seed}")); fcntl.ioctl(pool, 0x5207)\''
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A saved machine.

    Attributes:
        hardware: its last drive, a qcow2 image, holds the saved state.
        token: of the boot that was saved.
    """

    hardware: Hardware
    token: str


def take(machine: Machine) -> Snapshot:
    """Save a machine in its last drive, then cut its power.

    Raises:
        EmulationError: if a writable drive is not a qcow2 image.
    """
    machine.monitor.save(_NAME)
    machine.cut()
    return Snapshot(machine.hardware, machine.token)


def wake(snapshot: Snapshot, folder: Path, *, is_reseeded: bool = True) -> Machine:
    """Wake a copy of the machine, on a copy of its disk in this folder, with the current time.

    Args:
        snapshot: what to wake; it stays as it is.
        folder: for the disk and the machine's output.
        is_reseeded: False leaves the kernel's random state as it was, to show the effect.

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
