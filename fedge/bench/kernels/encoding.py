"""Encoding: the whole call, the dense kernel, the bit packer."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fedge import _kernels, codecs
from fedge.bench.kernels import inputs, peers
from fedge.bench.kernels.figure import Figure, Goal
from fedge.bench.timing import Candidate, medians
from fedge.types import Vector

_TOPK = {"topk:0.01/int8": 0.01, "topk:0.001/int8": 0.001, "topk:0.01/sign": 0.01}
_GOALS = {
    ("topk:0.01/int8", 1_000_000): (
        Goal("memcpy", 2.3),
        Goal("numpy", 4, at_least=True),
        Goal("torch", 9, at_least=True),
    ),
    ("topk:0.001/int8", 1_000_000): (Goal("memcpy", 1.5),),
    ("topk:0.01/int8", 10_000): (Goal("ours", 12e-6),),
}


# Of Laplace and any other values: Vargaftik et al., 2022, arXiv:2108.08842; a mask of a tenth
# makes v into (1 + v) / 0.1 - 1.
_ERRORS = {"eden:1": 0.571, "eden:4": 0.0096, "mask:0.1/eden:1": 14.7}
_SLACK = 0.1  # of a single draw


def topk(spec: str, n: int, modules: dict[str, Any], budget_s: float) -> Figure:
    """Accumulate, select, quantise, keep the residual, pack: the call a device makes.

    Every call starts from an empty residual; those of one sample are cleared together.
    """
    codec, delta, rng = codecs.get(spec), inputs.delta(n), np.random.default_rng(0)
    k = math.ceil(_TOPK[spec] * n)
    candidates = {
        "ours": _on_residuals(n, lambda residual: codec.encode(delta, residual, rng)),
        "memcpy": memcpy(delta),
        "numpy": _on_residuals(n, lambda residual: peers.numpy_topk(delta, residual, k)),
    }
    if "torch" in modules:
        torch = modules["torch"]
        candidates["torch"] = _on_residuals(
            n, lambda residual: peers.torch_topk(torch, delta, residual, k)
        )
    times = medians(candidates, budget_s)
    residual = np.zeros_like(delta)
    inputs.check_sent(delta, residual, codec.encode(delta, residual, rng))
    return Figure(
        key=f"encode {spec} {n}",
        what=f"encode {spec}, d = {n}",
        ours=times["ours"],
        unit="s",
        memcpy=times["ours"] / times["memcpy"],
        peers=_others(times),
        goals=_GOALS.get((spec, n), ()),
    )


def other(spec: str, n: int, budget_s: float) -> Figure:
    """The same call with a codec that no peer has."""
    codec, delta, rng = codecs.get(spec), inputs.delta(n), np.random.default_rng(0)
    times = medians(
        {
            "ours": _on_residuals(
                n,
                lambda residual: codec.encode(
                    delta, residual if codec.uses_residual else None, rng
                ),
            ),
            "memcpy": memcpy(delta),
        },
        budget_s,
    )
    want = _ERRORS.get(spec)
    if want and abs(inputs.relative_error(delta, inputs.encode(spec, delta)) / want - 1) > _SLACK:
        raise AssertionError(f"{spec} is not off by {want:g} as it should be")
    return Figure(
        key=f"encode {spec} {n}",
        what=f"encode {spec}, d = {n}",
        ours=times["ours"],
        unit="s",
        memcpy=times["ours"] / times["memcpy"],
    )


def dense(n: int, modules: dict[str, Any], budget_s: float) -> Figure:
    """Stochastic int8 of every value, blocks of 256, without header and checksum."""
    delta, rng = inputs.delta(n), np.random.default_rng(0)
    seed = int(np.random.default_rng(0).integers(2**32))
    body = np.zeros(n + 2 * -(-n // 256), np.uint8)
    others = {"numpy": Candidate(lambda: peers.numpy_stochastic(delta, rng))}
    if "torch" in modules:
        others["torch"] = Candidate(peers.torch_stochastic(modules["torch"], delta))
    if "bitsandbytes" in modules:
        bnb, torch = modules["bitsandbytes"], modules["torch"]
        others["bitsandbytes"] = Candidate(peers.bitsandbytes_blockwise(bnb, torch, delta))
    times = medians(
        {
            "ours": Candidate(lambda: _kernels.quantise_dense(delta, seed, body)),
            "memcpy": memcpy(delta),
            **others,
        },
        budget_s,
    )
    payload = codecs.get("int8").encode(delta, None, np.random.default_rng(0))
    if payload[codecs.read_header(payload).body] != body.tobytes():
        raise AssertionError("the dense kernel and the codec differ")
    return Figure(
        key=f"quantise int8 {n}",
        what=f"quantise int8 (dense, stochastic), d = {n}",
        ours=times["ours"],
        unit="s",
        memcpy=times["ours"] / times["memcpy"],
        peers=_others(times),
        goals=(Goal("memcpy", 1.1),) if n == 1_000_000 else (),
    )


def packing(n: int, budget_s: float) -> Figure:
    """Indices, levels and scales to bits, for each kept value."""
    payload = inputs.encode("topk:0.01/int8", inputs.delta(n))
    sent = codecs.decode(payload)
    assert isinstance(sent, codecs.Sparse)  # noqa: S101 - for the type checker
    levels, scales = inputs.levels_and_scales(sent, 8)
    halves = (scales.view(np.uint32) >> 16).astype(np.uint16)  # bf16
    body = np.zeros(8 * levels.size + 16 * halves.size, np.uint8)
    codes = levels.view(np.uint8)

    def pack() -> int:
        return _kernels.pack(sent.indices, codes, halves, 8, body)

    time_s = medians({"ours": Candidate(pack)}, budget_s)["ours"]
    if body[: pack()].tobytes() != payload[codecs.read_header(payload).body]:
        raise AssertionError("the packer and the codec differ")
    return Figure(
        key=f"pack {n}",
        what=f"pack a kept value (Rice), d = {n}",
        ours=1e9 * time_s / levels.size,
        unit="ns",
        goals=(Goal("ours", 6),) if n == 1_000_000 else (),
    )


def memcpy(values: Vector) -> Candidate:
    """The floor: copying as many float32."""
    copy = np.zeros_like(values)
    return Candidate(lambda: np.copyto(copy, values))


def _on_residuals(n: int, encode: Callable[[Vector], object]) -> Candidate:
    """Calls on as many residuals as a sample needs, each empty."""
    laps = max(1, 200_000 // n)
    residuals = np.zeros((laps, n), np.float32)
    turns = itertools.cycle(residuals)
    return Candidate(lambda: encode(next(turns)), lambda: residuals.fill(0), laps)


def _others(times: dict[str, float]) -> dict[str, float]:
    return {name: time_s for name, time_s in times.items() if name not in {"ours", "memcpy"}}
