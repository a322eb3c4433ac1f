"""Length of messages against the entropy of what they say. Exact: no clock."""

from typing import Any

from fedge import codecs
from fedge.bench.kernels import inputs, peers
from fedge.bench.kernels.figure import Figure, Goal


def length(spec: str, n: int, modules: dict[str, Any]) -> Figure:
    """A whole payload, header and checksum included, over log2 C(d, k) + k H(levels)."""
    payload = inputs.encode(spec, inputs.delta(n))
    sent = codecs.decode(payload)
    assert isinstance(sent, codecs.Sparse)  # noqa: S101 - for the type checker
    bits = codecs.read_header(payload).scheme.bits
    levels, scales = inputs.levels_and_scales(sent, bits)
    bound = peers.bound_bytes(n, levels)
    # The scales that peers need as well are half-words.
    others = peers.sizes(modules, sent.indices, levels, scales.astype("f2"))
    return Figure(
        key=f"length {spec} {n}",
        what=f"bytes over entropy, {spec}, d = {n}, k = {levels.size}",
        ours=len(payload) / bound,
        unit="x",
        peers={name: size / bound for name, size in others.items()},
        goals=(Goal("ours", 1.03),) if levels.size >= 500 else (),
    )
