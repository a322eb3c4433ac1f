"""Counts by a board's own counter, beside those of a processor without a system."""

import pytest

from firmware_sim.bench import alone, inside
from firmware_sim.boards import BOARDS, board
from firmware_sim.build.processors import processor
from firmware_sim.errors import EmulationError
from tests.support.tools import need_tool

pytestmark = pytest.mark.emulated

SIZES = (10_000, 50_000)


def test_a_boards_own_counter_and_unicorn_agree_on_what_a_kernel_adds() -> None:
    """A call from Python costs the same whatever the size, so the difference is the kernel's."""
    for tool in ("qemu-system-aarch64", "mke2fs", "debugfs", "aarch64-linux-gnu-gcc"):
        need_tool(tool)
    told: list[str] = []
    kernels = ["sgd_step"]
    small, large = inside.count([board("zero2w")], SIZES, kernels=kernels, tell=told.append)
    alone_small, alone_large = alone.count(
        [processor("zero2w")], SIZES, kernels=kernels, tell=told.append
    )
    assert alone_large.ours - alone_small.ours == 4.5 * 40_000
    assert large.ours - small.ours == pytest.approx(4.5 * 40_000, rel=0.005)
    assert 0 < small.ours - alone_small.ours < 20_000  # the call itself
    assert (large.twin or 0) > large.ours


def test_boards_of_32_bits_are_refused_before_they_boot() -> None:
    able = [each.name for each in BOARDS if inside.refusal(each) is None]
    assert able == ["zero2w", "pi3", "pi4", "pi5"]
    with pytest.raises(EmulationError, match="zerow: QEMU's 32-bit machines"):
        inside.count([board("zerow")], SIZES, kernels=None, tell=print)
