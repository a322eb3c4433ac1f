"""Decoding: one payload to its values, and many into a sum."""

import itertools
from typing import Any

import numpy as np

from fedge import codecs
from fedge.bench.kernels import inputs
from fedge.bench.kernels.figure import Figure, Goal
from fedge.bench.timing import Candidate, medians

_WEIGHT = 0.5
_N_DISTINCT = 32  # one update again and again would stay in the cache


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


def adding(n: int, modules: dict[str, Any], budget_s: float) -> Figure:
    """Decode and weighted add of distinct updates; peers get theirs decoded already."""
    payloads = [
        inputs.encode("topk:0.01/int8", inputs.delta(n, seed)) for seed in range(_N_DISTINCT)
    ]
    decoded = [update for update in map(codecs.decode, payloads) if hasattr(update, "indices")]
    total, theirs = np.zeros(n, np.float32), np.zeros(n, np.float32)
    _check(payloads[0], n)
    turns, ready = itertools.cycle(payloads), itertools.cycle(decoded)

    def add_numpy() -> None:
        update = next(ready)
        theirs[update.indices] += np.float32(_WEIGHT) * update.values

    others = {"numpy": Candidate(add_numpy)}
    if "torch" in modules:
        torch = modules["torch"]
        pairs = [(update.indices.astype(np.int64), update.values) for update in decoded]
        tensors = itertools.cycle([tuple(map(torch.from_numpy, pair)) for pair in pairs])
        sum_ = torch.from_numpy(theirs)
        others["torch"] = Candidate(lambda: sum_.index_add_(0, *next(tensors), alpha=_WEIGHT))
    ours = Candidate(lambda: codecs.accumulate(next(turns), _WEIGHT, total))
    times = medians({"ours": ours, **others}, budget_s)
    return Figure(
        key=f"accumulate {n}",
        what=f"decode + weighted add, 1 % int8, d = {n}",
        ours=1 / times["ours"],
        unit="updates/s",
        peers={name: 1 / times[name] for name in others},
        goals=(Goal("ours", 15_000, at_least=True),) if n == 1_000_000 else (),
    )


def _check(payload: bytes, n: int) -> None:
    total = np.zeros(n, np.float32)
    codecs.accumulate(payload, _WEIGHT, total)
    want = np.float32(_WEIGHT) * codecs.decode(payload).to_dense()
    np.testing.assert_array_equal(total, want)
