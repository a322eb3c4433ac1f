"""Counting on processors without a system: counts by hand, and the bits kernels leave behind."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedge.bench.kernels.calls import Call, again, kernel, record
from firmware_sim.build.processors import PROCESSORS, Processor, processor
from firmware_sim.build.translated import module_of
from firmware_sim.errors import EmulationError
from firmware_sim.stock import programs
from firmware_sim.tiers.aapcs import Frame, View, frame
from firmware_sim.tiers.core import Core, unicorn
from firmware_sim.tiers.count import TIER
from firmware_sim.tiers.image import LIBRARY, LIBRARY_END, image
from firmware_sim.tiers.named import tier
from firmware_sim.tiers.replay import replay
from tests.support.tools import need_tool

pytestmark = pytest.mark.emulated

A53, ARM11, M4 = processor("cortex-a53"), processor("arm1176"), processor("cortex-m4")

# f(self, n) adds 2 to 0 n times and jumps to Python's int. The jump goes by a stub of the linker's.
A64_LOOP = """
.globl f
.type f, %function
f:  mov x0, #0
1:  add x0, x0, #2
    subs x1, x1, #1
    b.ne 1b
    b PyLong_FromSsize_t
"""
ARM_LOOP = """
.syntax unified
.globl f
.type f, %function
f:  mov r0, #0
1:  add r0, r0, #2
    subs r1, r1, #1
    addmi r0, r0, #100      @ never: n is not below 0
    bne 1b
    b PyLong_FromSsize_t
"""
# A wide instruction, two narrow ones, and two that are skipped each time but counted.
THUMB_LOOP = """
.syntax unified
.thumb
.thumb_func
.globl f
.type f, %function
f:  movs r0, #0
1:  add.w r0, r0, #2
    subs r1, r1, #1
    it mi
    addmi r0, r0, #100
    cmp r1, #0
    bne 1b
    b PyLong_FromSsize_t
"""


def _assembled(source: str, on: Processor, folder: Path) -> Path:
    need_tool(on.compiler)
    (folder / "f.s").write_text(source)
    words: list[str | Path] = [
        on.compiler,
        *on.flags,
        "-shared",
        "-nostdlib",
        folder / "f.s",
        "-o",
        folder / "f.so",
    ]
    programs.run(words)
    return folder / "f.so"


@pytest.mark.parametrize(
    ("on", "source", "turn", "around"),
    [
        (A53, A64_LOOP, 3, 1 + 1 + 4),  # first, jump; stub: adrp, ldr, add, br
        (ARM11, ARM_LOOP, 4, 1 + 1 + 3),  # stub: add, add, ldr
        (M4, THUMB_LOOP, 6, 1 + 1 + 4),  # stub: movw, movt, add, ldr
    ],
    ids=lambda value: value.name if isinstance(value, Processor) else None,
)
@pytest.mark.parametrize("n", [1, 7, 1000])
def test_a_loop_takes_as_many_instructions_as_one_counts_by_hand(
    on: Processor, source: str, turn: int, around: int, n: int, tmp_path: Path
) -> None:
    loaded = image(_assembled(source, on, tmp_path), only_thumb=on.is_microcontroller)
    outcome = Core(loaded, on, b"").call("f", frame([0, n], on))
    assert outcome.result == 2 * n
    assert outcome.instructions == turn * n + around
    assert outcome.trapped == {"PyLong_FromSsize_t": 1}


def test_a_negative_number_comes_back_negative(tmp_path: Path) -> None:
    source = A64_LOOP.replace("#2", "#-2")
    assert (
        Core(image(_assembled(source, A53, tmp_path)), A53, b"")
        .call("f", frame([0, 3], A53))
        .result
        == -6
    )


def test_what_raises_in_python_is_refused_and_named(tmp_path: Path) -> None:
    source = A64_LOOP.replace("PyLong_FromSsize_t", "PyErr_NoMemory")
    core = Core(image(_assembled(source, A53, tmp_path)), A53, b"")
    with pytest.raises(EmulationError, match="PyErr_NoMemory"):
        core.call("f", frame([0, 1], A53))


def test_a_load_from_nowhere_is_refused_with_its_place(tmp_path: Path) -> None:
    source = A64_LOOP.replace("mov x0, #0", "ldr x0, [x0]")
    core = Core(image(_assembled(source, A53, tmp_path)), A53, b"")
    with pytest.raises(EmulationError, match=r"cortex-a53: .*read.* at 0x[0-9a-f]+ of the library"):
        core.call("f", frame([0, 1], A53))


VIEW = View(words=range(100, 126), address=0x2000)


def test_64_bit_calls_take_views_by_address_and_floats_apart() -> None:
    made = frame([0, VIEW, 1.0, -1, 2.0], A53)
    assert made == Frame(core=[0, 0x2000, 2**64 - 1], floats=[0x3F800000, 0x40000000], stack=[])


def test_the_ninth_number_of_a_64_bit_call_is_on_the_stack() -> None:
    assert frame(list(range(9)), A53) == Frame(core=list(range(8)), floats=[], stack=[8])


def test_32_bit_calls_take_views_by_value_partly_in_registers() -> None:
    hard = frame([0, VIEW, 1.0, -1], processor("cortex-a7"))
    assert hard.core == [0, 100, 101, 102]
    assert hard.stack == [*range(103, 126), 2**32 - 1]
    assert hard.floats == [0x3F800000]


def test_without_registers_for_floats_they_go_among_the_numbers() -> None:
    soft = frame([0, VIEW, 1.0, -1], ARM11)
    assert soft.stack == [*range(103, 126), 0x3F800000, 2**32 - 1]
    assert soft.floats == []


def _packing(k: int = 300) -> Call:
    rng = np.random.default_rng(1)
    indices = np.sort(rng.choice(30_000, k, replace=False)).astype(np.uint32)
    codes = rng.integers(-127, 128, k, np.int8).view(np.uint8)
    scales = np.full(-(-k // 256), 0x3F80, np.uint16)
    out = np.zeros(8 * k + 16 * scales.size, np.uint8)
    (call,) = record(lambda: kernel("pack")(indices, codes, scales, 8, out))
    return call


@pytest.fixture(scope="module")
def packing() -> Call:
    return _packing()


@pytest.mark.parametrize("on", [A53, ARM11, M4], ids=lambda on: on.name)
def test_a_kernel_leaves_the_same_bits_and_takes_as_many_instructions_again(
    on: Processor, packing: Call
) -> None:
    for name in (on.compiler, f"{on.helpers}-gcc"):
        need_tool(name)
    first, second = replay(packing, on), replay(packing, on)
    assert first == second
    assert first.differences == ()
    assert 10 * 300 < first.instructions < 500 * 300


def test_every_64_bit_processor_executes_the_same_instructions(packing: Call) -> None:
    need_tool(A53.compiler)
    counts = {replay(packing, each).instructions for each in PROCESSORS if each.word == 8}
    assert len(counts) == 1


# Unicorn does not show single instructions of Thumb that are skipped: by hand they are, above.
@pytest.mark.parametrize("on", [A53, ARM11], ids=lambda on: on.name)
def test_counting_blocks_is_counting_single_instructions(
    on: Processor, packing: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_tool(on.compiler)
    seen = 0

    def count_one(*_: object) -> None:
        nonlocal seen
        seen += 1

    def with_both(self: Core, symbol: str, made: Frame) -> Any:
        self._uc.hook_add(unicorn.UC_HOOK_CODE, count_one, begin=LIBRARY, end=LIBRARY_END)
        return plain(self, symbol, made)

    plain = Core.call
    monkeypatch.setattr(Core, "call", with_both)
    assert replay(packing, on).instructions == seen > 0


def test_a_single_other_bit_is_found(packing: Call) -> None:
    need_tool(A53.compiler)
    other = dict(packing.after)
    other["out"] = other["out"].copy()
    other["out"][5] ^= 1
    tampered = dataclasses.replace(packing, after=other, result=-1)
    assert replay(tampered, A53).differences == ("out", "result")


def test_a_call_that_the_kernel_refuses_is_no_count(packing: Call) -> None:
    need_tool(A53.compiler)
    short = {**packing.before, "out": np.zeros(3, np.uint8)}
    with pytest.raises(EmulationError, match="pack on cortex-a53: "):
        replay(dataclasses.replace(packing, before=short), A53)


def test_a_kernel_that_is_gone_is_missed_in_a_sentence() -> None:
    with pytest.raises(EmulationError, match="defines a kernel fold"):
        module_of("fold")


def _pack_context(*arguments: object) -> object:
    return kernel("pack_context")(*arguments)


def test_constants_and_cached_numbers_are_there_without_an_import() -> None:
    """-1 is made by an import; the chances of gaps are a constant of the code."""
    need_tool(A53.compiler)
    packing = _packing(60)
    given = [*list(packing.before.values())[:4], 30_000]
    for size in (60, 4000):  # too short, and long enough
        out = np.zeros(size, np.uint8)
        (call,) = record(partial(_pack_context, *given, out))
        assert (call.result == -1) == (size == 60)
        assert replay(call, A53).differences == ()


def test_a_recorded_call_can_be_made_again(packing: Call) -> None:
    assert again(kernel("pack"), packing)() == packing.result


def test_the_tier_says_that_it_counts_and_not_how_long_it_takes() -> None:
    assert tier("count") is TIER
    assert "instruction counts" in TIER.may_claim
    assert TIER.may_not_claim == "time"
