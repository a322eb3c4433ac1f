"""Decoding: one payload to its values, and many into a sum."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from fedge import codecs
from fedge.bench.kernels import inputs
from fedge.bench.kernels.figure import Figure, Goal
from fedge.bench.timing import Candidate, medians
from fedge.codecs import Sparse
from fedge.types import Vector

_WEIGHT = 0.5
_N_DISTINCT = 32


def unpacking(n: int, budget_s: float) -> Figure:
    """A payload's checksum, bounds and values, for each kept value."""
    payloads = [inputs.encode("topk:0.01/int8", inputs.delta(n, seed)) for seed in range(4)]
    turns = itertools.cycle(payloads)
    time_s = medians({"ours": Candidate(lambda: codecs.decode(next(turns)))}, budget_s)["ours"]
    n_kept = codecs.read_header(payloads[0]).n_kept
    return Figure(
        key=f"decode {n}",
        what=f"decode a kept value, d = {n}",
        ours=1e9 * time_s / n_kept,
        unit="ns",
        goals=(Goal("ours", 6),) if n == 1_000_000 else (),
    )


def in_part(n: int, budget_s: float) -> Figure:
    """A sixth of the columns, at the end, where a sparse payload is read from front to back."""
    payload = inputs.encode("topk:0.01/int8", inputs.delta(n))
    start = n - n // 6
    out = np.empty(n - start, np.float32)
    whole = codecs.decode(payload)

    def decode() -> None:
        out[:] = codecs.decode(payload).to_dense()[start:]

    times = medians(
        {
            "decode": Candidate(decode),
            "ours": Candidate(lambda: codecs.decode_range(payload, start, out)),
        },
        budget_s,
    )
    np.testing.assert_array_equal(out, whole.to_dense()[start:])
    return Figure(
        key=f"read in part {n}",
        what=f"read the last sixth, 1 % int8, d = {n}",
        ours=times["ours"],
        unit="s",
        peers={"decode": times["decode"]},
        goals=(Goal("decode", 1, at_least=True),),
    )


def adding(n: int, modules: dict[str, Any], budget_s: float) -> Figure:
    """Decode and weighted add, a round of distinct updates at a time.

    One update again and again would stay in the cache. Peers get theirs already decoded.
    """
    payloads = [
        inputs.encode("topk:0.01/int8", inputs.delta(n, seed)) for seed in range(_N_DISTINCT)
    ]
    decoded = [update for update in map(codecs.decode, payloads) if isinstance(update, Sparse)]
    total, theirs = np.zeros(n, np.float32), np.zeros(n, np.float32)
    _check(payloads[0], n)

    def add() -> None:
        for payload in payloads:
            codecs.accumulate(payload, _WEIGHT, total)

    def add_numpy() -> None:
        for update in decoded:
            theirs[update.indices] += np.float32(_WEIGHT) * update.values

    candidates = {"ours": Candidate(add), "numpy": Candidate(add_numpy)}
    if "torch" in modules:
        candidates["torch"] = Candidate(_adding_torch(modules["torch"], decoded, theirs))
    times = medians(candidates, budget_s)
    rates = {name: _N_DISTINCT / time_s for name, time_s in times.items()}
    return Figure(
        key=f"accumulate {n}",
        what=f"decode + weighted add, 1 % int8, d = {n}",
        ours=rates.pop("ours"),
        unit="updates/s",
        peers=rates,
        goals=(Goal("ours", 15_000, at_least=True),) if n == 1_000_000 else (),
    )


def _adding_torch(torch: Any, updates: list[Sparse], out: Vector) -> Callable[[], None]:
    total = torch.from_numpy(out)
    pairs = [
        (torch.from_numpy(update.indices.astype(np.int64)), torch.from_numpy(update.values))
        for update in updates
    ]

    def add() -> None:
        for indices, values in pairs:
            total.index_add_(0, indices, values, alpha=_WEIGHT)

    return add


def _check(payload: bytes, n: int) -> None:
    total = np.zeros(n, np.float32)
    codecs.accumulate(payload, _WEIGHT, total)
    want = np.float32(_WEIGHT) * codecs.decode(payload).to_dense()
    np.testing.assert_array_equal(total, want)
