"""All kernels and codecs compute the same bits on every board as here."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from firmware_sim.boards import board
from firmware_sim.tiers.base import Job
from firmware_sim.tiers.user import TIER
from tests.emulated import bits
from tests.golden import payloads

pytestmark = pytest.mark.emulated

HERE = Path(__file__).parent
TESTS = HERE.parent
COPIED = ("emulated/bits.py", "golden/payloads.py")


@pytest.fixture(scope="module")
def here() -> dict[str, str]:
    return bits.results()


def test_the_stored_payloads_are_among_what_is_compared(here: dict[str, str]) -> None:
    stored = [
        path for path in payloads.FOLDER.iterdir() if path.suffix in (".payload", ".residual")
    ]
    assert len(stored) >= len(payloads.SPECS)
    for path in stored:
        assert here[path.name] == hashlib.sha256(path.read_bytes()).hexdigest(), path.name


@pytest.mark.parametrize("name", ["zero2w", "armv7", "zerow"])
def test_a_board_computes_the_same_bits(name: str, here: dict[str, str], tmp_path: Path) -> None:
    for source in COPIED:
        target = tmp_path / "tests" / source
        target.parent.mkdir(parents=True)
        shutil.copy(TESTS / source, target)
    TIER.prepare(board(name), print)
    guest = TIER.start(board(name), Job(words=["tests/emulated/bits.py"], folder=tmp_path))
    assert guest.wait(120) == 0, guest.log.read_text()
    there = json.loads(guest.log.read_text())
    assert there.keys() == here.keys()
    assert [what for what, digest in here.items() if there[what] != digest] == []
