"""A target: a parser of bytes from outside, the laws it must keep, and how to mutate its input."""

import random
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
Change = Callable[[bytes], bytes]  # changes bytes that have no structure

MAX_CPU_S = 2.0  # for at most 8 KiB of input; a slower parser could be kept busy
_FIRST_CALL = 2**20  # bytes: tables and modules that remain after the first call


@dataclass(frozen=True, slots=True)
class Target:
    """One parser of bytes from outside.

    Attributes:
        name: of the target and of its folder in the corpus.
        check: parses the bytes and returns whether they were accepted; raises an exception if a
            law is broken.
        mutate: changes the bytes and fixes their checksums, so that the parser sees the change.
        seeds: well-formed inputs by name, for the corpus.
        n_mutations: how many the regression test runs, a second or two of them.
    """

    name: str
    check: Callable[[bytes], bool]
    mutate: Callable[[bytes, random.Random, Change], bytes]
    seeds: Callable[[], dict[str, bytes]]
    n_mutations: int


def read(
    reader: Callable[[], T], refusals: tuple[type[Exception], ...], *, most_bytes: int
) -> T | None:
    """What the parser returns, or None if it refuses in one sentence.

    Any other exception is passed on. Memory is the peak allocated by Python and NumPy.
    """
    found = None
    tracemalloc.start()
    began_s = time.thread_time()
    try:
        found = reader()
    except refusals as refusal:
        check_sentence(str(refusal))
    finally:
        took_s = time.thread_time() - began_s
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert took_s < MAX_CPU_S, f"took {took_s:.1f} s"
    assert peak < most_bytes + _FIRST_CALL, f"took {peak} bytes, at most {most_bytes} expected"
    return found


def check_sentence(said: str) -> None:
    """An error message is one line fit for any log, without the whole input in it."""
    assert 0 < len(said) < 1000, said[:2000]
    assert said.isprintable(), ascii(said)


def attack(target: Target, inputs: list[bytes], n: int, rng: random.Random) -> None:
    """Runs inputs through a target, then n mutations of them; a finding includes its input."""
    for number in range(len(inputs) + n):
        data = inputs[number % len(inputs)]
        if number >= len(inputs):
            for _ in range(rng.choice((1, 1, 1, 2, 4))):
                data = target.mutate(data, rng, lambda part: plain_change(part, rng))
        try:
            target.check(data)
        except BaseException as finding:
            finding.add_note(f"target {target.name}, input {data.hex()}")
            raise


def plain_change(data: bytes, rng: random.Random) -> bytes:
    """One change like libFuzzer's: a bit, a number, noise, a cut, a copy."""
    at = rng.randrange(len(data) + 1)
    end = min(at + rng.choice((1, 1, 2, 4, 8, 64)), len(data))
    part = data[at:end]
    edge = rng.choice((0, 1, 127, 128, 255, 2**15, 2**16 - 1, 2**31, 2**32 - 1))
    new = rng.choice(
        (
            bytes([part[0] ^ 1 << rng.randrange(8)]) + part[1:] if part else b"",
            b"",
            rng.randbytes(rng.choice((1, 2, 4, 16))) + part,
            rng.randbytes(len(part)),
            part * rng.choice((2, 3, 40)),
            edge.to_bytes(4, "little")[: len(part)],
        )
    )
    return data[:at] + new + data[end if rng.randrange(16) else len(data) :]


def rng_of(seed: int) -> random.Random:
    """Repeatable choices."""
    return random.Random(seed)  # noqa: S311 - no secrets here
