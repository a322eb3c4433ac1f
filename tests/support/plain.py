"""The result of an undisturbed job of scripted devices, by the plain formulas."""

from collections.abc import Sequence

import numpy as np

from fedge import codecs
from fedge.artifact import Artifact
from fedge.codecs import Stamp, read_header
from fedge.strategies import get
from fedge.types import Vector
from tests.support.scripted import scripted_payload


def plain_models(
    artifact: Artifact,
    rounds: Sequence[Sequence[str]],
    *,
    strategy: str = "fedavg",
    downlink: str = "topk:0.03/sign",
    seed: int = 0,
) -> list[tuple[Vector, Vector]]:
    """After each round that these devices took part in: the model, and the devices' copy of it.

    Both are float32 (n_params,).
    """
    n = artifact.n_trainable
    chosen = get(strategy).optimizer
    state = chosen.init(artifact.parameters[:n])
    held, found = artifact.parameters.copy(), []
    for number, devices in enumerate(rounds, start=1):
        payloads = [scripted_payload(artifact, name, number) for name in sorted(devices)]
        n_examples = [read_header(payload).n_examples for payload in payloads]
        state = chosen.step(state, mean_of_payloads(n_examples, payloads, n))
        model = np.concatenate([state.parameters, artifact.parameters[n:]]).astype(np.float32)
        held = _follow(model, held, downlink, n, Stamp(round=number), seed)
        found.append((model, held))
    return found


def mean_of_payloads(n_examples: Sequence[int], payloads: Sequence[bytes], n_params: int) -> Vector:
    """The mean in the order given: weights in float64, rounded once; the sum in float32."""
    mean: Vector = np.zeros(n_params, np.float32)
    for n, payload in zip(n_examples, payloads, strict=True):
        codecs.accumulate(payload, float(np.float32(n / sum(n_examples))), mean)
    return mean


def _follow(model: Vector, held: Vector, spec: str, n: int, stamp: Stamp, seed: int) -> Vector:
    """`held` plus the decoded difference, value by value."""
    rng = np.random.default_rng((seed, stamp.round))
    payload = codecs.get(spec).encode(model[:n] - held[:n], None, rng, stamp=stamp)
    if spec == "none" or len(payload) >= 4 * model.size:
        return model
    after, sent = held.copy(), codecs.decode(payload)
    if isinstance(sent, codecs.Sparse):
        after[sent.indices] += sent.values
    else:
        after[:n] += sent.values
    return after
