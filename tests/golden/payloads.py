"""The payload and the residual of one delta under every spec, stored as bytes.

The delta is made by integer arithmetic, so that no library's generator can change it.
"""

from pathlib import Path

import numpy as np

from fedge import codecs
from fedge.types import Vector

FOLDER = Path(__file__).parent / "payloads"
SPECS = [
    *["topk:0.1/sign", "topk:0.1/int4", "topk:0.1/int8", "topk:0.1/float32"],
    *["topk:0.1/int4+stochastic", "topk:0.1/int8+stochastic"],
    *["topk:0.1/sign+ctx", "topk:0.1/int4+ctx", "topk:0.1/int8+ctx", "topk:0.1/float32+ctx"],
    *["budget:200", "eden:1", "eden:2", "eden:3", "eden:4", "mask:0.1/eden:1", "mask:0.3/eden:3"],
    *["int8", "none"],
]
N_PARAMS = 3000  # two blocks of kept values, the second one short


def delta(n_params: int = N_PARAMS, seed: int = 1) -> Vector:
    """Multiples of 2**-16 between -1 and 1, most of them small, some equal, some zero."""
    numbers, state = np.empty(n_params, np.int64), seed
    for i in range(n_params):
        state = (1103515245 * state + 12345) % 2**31
        numbers[i] = (state >> 8) % 2**17 - 2**16
    return (numbers**3 // 2**32).astype(np.float32) / np.float32(2**16)


def encoded(spec: str, seed: int = 1) -> Vector:
    """The delta that is encoded; for the context coder one with clusters, which it is there for."""
    values, places = delta(seed=seed), np.arange(N_PARAMS)
    if spec.endswith("+ctx"):
        values = np.where(places // 40 % 2 == 0, np.abs(values), values / 16).astype(np.float32)
    return values


class _FixedRng:
    """Stands in for a generator."""

    def integers(self, high: int) -> int:
        return 0x5EED5EED % high


def payload_file(spec: str) -> Path:
    return FOLDER / f"{spec.replace(':', '-').replace('/', '-')}.payload"


def contents(spec: str) -> dict[Path, bytes]:
    """What the code does now: the payload, and the residual that it leaves where there is one."""
    codec, path = codecs.get(spec), payload_file(spec)
    residual = encoded(spec, seed=2) if codec.uses_residual else None
    stamp = codecs.Stamp(schema=b"\xfe\xd6\xe0\x01", round=200, n_examples=1000)
    payload = codec.encode(encoded(spec), residual, _FixedRng(), stamp=stamp)  # type: ignore[arg-type] # has what is used
    if residual is None:
        return {path: payload}
    return {path: payload, path.with_suffix(".residual"): residual.tobytes()}


def write() -> list[Path]:
    """Stores what the code does now. A changed file is a changed format: raise its version."""
    FOLDER.mkdir(exist_ok=True)
    stored = {path: content for spec in SPECS for path, content in contents(spec).items()}
    for path, content in stored.items():
        path.write_bytes(content)
    return list(stored)
