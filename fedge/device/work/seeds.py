"""The seeds of a device's rngs: from the plan, the device's id and the round, nothing else."""

import hashlib

from fedge.types import DeviceId, RoundId


def derive_seed(seed: int, device: DeviceId, round_: RoundId, purpose: str) -> int:
    """A seed of 0 to 2^63 - 1 for one purpose of one device in one round.

    It is the first 8 bytes, little-endian, without the top bit, of the SHA-256 of the
    ASCII text `fedge/1 seed=7 device=pi-3 round=2 purpose=training`.
    """
    text = f"fedge/1 seed={seed} device={device} round={round_} purpose={purpose}"
    return int.from_bytes(hashlib.sha256(text.encode("ascii")).digest()[:8], "little") & (2**63 - 1)
