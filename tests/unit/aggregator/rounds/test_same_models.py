"""Models keep their bits: these hashes were made before a strategy had a rule."""

from pathlib import Path

import numpy as np
import pytest

from fedge import codecs
from fedge.artifact import Artifact
from fedge.codecs import Stamp
from tests.support.aggregator_by_hand import Bench

SPECS = ("none", "int8", "topk:0.5/sign", "eden:2", "topk:0.5/float32", "mask:0.5/eden:1")
FACTORS = (1, 1, 2, 1, 7, 300)  # the fifth is clipped, the sixth is dropped
AFTER_ROUND_4 = {
    "fedavg": "5a104af6a365988ad92315895d7099391e0bc534ff596eefc32da817a77cc8aa",
    "fedadam:lr=0.05": "f419720f36acd76b30f376f3a038b000adf5634ac5e3577a8b52a5f46c779298",
}


def payload(artifact: Artifact, name: str, round_: int) -> bytes:
    """Eighths that differ by device and round, sent by a codec of the device's own."""
    number = int(name[-1])
    places = np.arange(artifact.n_trainable)
    eighths = (places * 11 + number * 37 + round_ * 5) % 17 - 8
    delta = (eighths * FACTORS[number] / 8).astype(np.float32)
    stamp = Stamp(schema=artifact.schema[:4], round=round_, n_examples=3 * number + 1)
    rng = np.random.default_rng([number, round_])
    return codecs.get(SPECS[number]).encode(delta, None, rng, stamp=stamp)


@pytest.mark.parametrize("strategy", AFTER_ROUND_4)
@pytest.mark.parametrize("rule", ["", "mean/"])
def test_a_mixed_cohort_with_one_clipped_and_one_dropped(
    tmp_path: Path, strategy: str, rule: str
) -> None:
    bench = Bench(
        tmp_path, wait_for=6, quorum=6, rounds=4, strategy=rule + strategy, quarantine_after=None
    )
    bench.add(*(f"device-{number}" for number in range(6)), payload=payload)
    bench.settle(n_steps=400)
    reports = bench.aggregator.report()["round_reports"]
    assert [(one["devices_clipped"], one["devices_dropped"]) for one in reports] == [(1, 1)] * 4
    assert reports[-1]["model_sha256"] == AFTER_ROUND_4[strategy]
