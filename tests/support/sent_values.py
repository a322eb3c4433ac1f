"""Devices of an aggregator that each send one value in every coordinate, and what came of it."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fedge import codecs
from fedge.aggregator import open_registry
from fedge.artifact import Artifact
from fedge.codecs import Stamp
from tests.support.aggregator_by_hand import Bench

Payload = Callable[[Artifact, str, int], bytes]


def sending(deltas: Mapping[str, float], *, codec: str = "none", n_examples: int = 1) -> Payload:
    """Each device sends its value in every coordinate; those not named send 1."""

    def payload(artifact: Artifact, name: str, round_: int) -> bytes:
        delta = np.full(artifact.n_trainable, deltas.get(name, 1.0), np.float32)
        stamp = Stamp(schema=artifact.schema[:4], round=round_, n_examples=n_examples)
        return codecs.get(codec).encode(delta, None, np.random.default_rng(0), stamp=stamp)

    return payload


def events(bench: Bench) -> list[dict[str, Any]]:
    lines = (bench.folder / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == "round"]


def moved(bench: Bench) -> np.ndarray:
    """How far each parameter has come from where it was."""
    bench.aggregator.close()
    registry = open_registry(bench.folder / "state")
    n = bench.artifact.n_trainable
    return registry.parameters(registry.latest())[:n] - bench.artifact.parameters[:n]
