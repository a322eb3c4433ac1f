"""The seeds of a device's rngs."""

import hashlib

from fedge.device.work.seeds import derive_seed
from fedge.training import Plan
from fedge.types import DeviceId, RoundId

PI = DeviceId("pi-3")


def test_a_seed_is_the_hash_of_the_documented_text() -> None:
    text = b"fedge/1 seed=7 device=pi-3 round=2 purpose=training"
    want = int.from_bytes(hashlib.sha256(text).digest()[:8], "little") % 2**63
    assert derive_seed(7, PI, RoundId(2), "training") == want
    Plan(seed=want)  # a plan accepts every derived seed


def test_device_round_seed_and_purpose_each_change_the_rng() -> None:
    seeds = {
        derive_seed(0, PI, RoundId(1), "training"),
        derive_seed(1, PI, RoundId(1), "training"),
        derive_seed(0, DeviceId("pi-4"), RoundId(1), "training"),
        derive_seed(0, PI, RoundId(2), "training"),
        derive_seed(0, PI, RoundId(1), "codec"),
    }
    assert len(seeds) == 5
