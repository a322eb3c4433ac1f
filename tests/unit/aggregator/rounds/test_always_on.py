"""What no rule ever sees: updates that are not finite or absurdly long, whatever the rule is."""

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedge import codecs, strategies
from fedge.aggregator.reception.validation import RefusedError, check_update
from fedge.aggregator.rounds.bounding import Bounds, bound_cohort
from fedge.codecs import Stamp
from fedge.messages import RoundKind
from fedge.strategies import RULES, Cohort, Rule, cohort_of
from fedge.types import DeviceId, RoundId, Update, Vector
from tests.support.aggregator_by_hand import Bench
from tests.support.models import softmax
from tests.support.sent_values import events, moved, sending

SPECS = [
    *(spec.partition("[")[0].replace("=N", "=1") for spec in RULES),
    "nnm+trimmed_mean:f=1",
    "bucketing:s=2+median",
    "clip:c=1000+mean",
    "arc:f=1+geometric_median",
]
EVERY_RULE = pytest.mark.parametrize("spec", SPECS)


def cohort_and_norms(rows: Sequence[Vector]) -> tuple[Cohort, list[float]]:
    """With a reference that is like the first delta."""
    updates = {
        DeviceId(f"device-{place}"): Update(delta=row, n_examples=1, n_steps=1, loss=0.0)
        for place, row in enumerate(rows)
    }
    norms = [float(np.sqrt(np.sum(row.astype(np.float64) ** 2))) for row in rows]
    return replace(cohort_of(updates), reference=rows[0]), norms


def rule_of(spec: str) -> Rule:
    return strategies.get(spec).rule


def honest(n: int = 8, n_params: int = 30) -> list[Vector]:
    rng = np.random.default_rng(0)
    base = rng.normal(size=n_params)
    return [(base + 0.3 * rng.normal(size=n_params)).astype(np.float32) for _ in range(n)]


def bounds(factor: float | None) -> Bounds:
    return Bounds(norm=factor, weight=None)


@EVERY_RULE
@pytest.mark.parametrize("factor", [2.0, None])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -3e38])
def test_what_wrecks_arithmetic_changes_nothing(
    spec: str, factor: float | None, value: float
) -> None:
    """The result is to the bit that of the cohort without it."""
    rows = honest()
    spoilt = [*rows, np.full(30, value, np.float32)]
    one = rows[1].copy()
    one[7] = value
    cohort, norms = cohort_and_norms([*spoilt, one])
    counted = bound_cohort(cohort, norms, bounds(factor))
    assert len(counted.cohort.members) == len(rows)
    clean, clean_norms = cohort_and_norms(rows)
    want = rule_of(spec).combine(bound_cohort(clean, clean_norms, bounds(factor)).cohort)
    got = rule_of(spec).combine(counted.cohort)
    assert np.isfinite(got).all()
    assert got.tobytes() == want.tobytes()


@EVERY_RULE
def test_a_long_update_reaches_the_rule_at_twice_the_median_at_most(spec: str) -> None:
    """Ten times as long, and no more than one of nine: the result stays among the honest."""
    rows = honest()
    cohort, norms = cohort_and_norms([*rows, -10 * rows[0]])
    counted = bound_cohort(cohort, norms, bounds(2.0)).cohort
    longest = max(float(np.linalg.norm(row)) for row in counted.deltas.columns(0, 30))
    assert longest <= 2 * np.median(norms) * (1 + 1e-6)
    got = rule_of(spec).combine(counted)
    assert np.linalg.norm(got) <= longest * (1 + 1e-6)
    assert float(got @ np.mean(rows, axis=0)) > 0 or "foolsgold" in spec


@EVERY_RULE
def test_updates_of_zeros_make_a_delta_of_zeros(spec: str) -> None:
    cohort, norms = cohort_and_norms([np.zeros(30, np.float32)] * 8)
    got = rule_of(spec).combine(bound_cohort(cohort, norms, bounds(2.0)).cohort)
    np.testing.assert_array_equal(got, 0)


@EVERY_RULE
def test_some_updates_of_zeros_stop_no_rule(spec: str) -> None:
    cohort, norms = cohort_and_norms([*honest(6), *[np.zeros(30, np.float32)] * 2])
    got = rule_of(spec).combine(bound_cohort(cohort, norms, bounds(2.0)).cohort)
    assert np.isfinite(got).all()


@EVERY_RULE
def test_a_cohort_of_one_is_combined_or_too_small(spec: str) -> None:
    rule, (row,) = rule_of(spec), honest(1)
    cohort, norms = cohort_and_norms([row])
    counted = bound_cohort(cohort, norms, bounds(2.0)).cohort
    if rule.least > 1:
        with pytest.raises(strategies.CohortError, match="1 update could be counted"):
            rule.combine(counted)
        return
    got = rule.combine(counted)
    if spec != "centered_clipping":  # it goes three steps of length 1 towards it
        np.testing.assert_allclose(got, row, rtol=1e-6)
    assert float(got @ row) > 0


@pytest.mark.parametrize("spec", SPECS)
def test_nothing_counted_is_a_note_and_no_error(tmp_path: Path, spec: str) -> None:
    rule, names = rule_of(spec), [f"device-{n}" for n in range(9)]
    own = {"trusted_data": _trusted(tmp_path)} if strategies.needs_reference(rule) else {}
    bench = Bench(tmp_path, strategy=spec, rounds=1, wait_for=9, quorum=max(rule.least, 1), **own)  # type: ignore[arg-type] # no artifact
    bench.add(*names, payload=sending(dict.fromkeys(names, 1e30)))
    bench.settle(n_steps=100)
    (event,) = events(bench)
    assert event["devices_dropped"] == 9
    assert event["note"] == "no update could be counted: the model stays as it was"
    np.testing.assert_array_equal(moved(bench), 0)


def _trusted(folder: Path) -> Path:
    np.savez(folder / "own.npz", x=np.ones((3, 2), np.float32), y=np.arange(3))
    return folder / "own.npz"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_bytes_that_are_not_finite_are_refused_on_arrival(value: float) -> None:
    artifact = softmax()
    stamp = Stamp(schema=artifact.schema[:4], round=1, n_examples=1)
    delta = np.ones(artifact.n_trainable, np.float32)
    whole = bytearray(codecs.get("none").encode(delta, None, np.random.default_rng(0), stamp=stamp))
    whole[-8:-4] = struct.pack("<f", value)
    whole[-4:] = struct.pack("<I", zlib.crc32(bytes(whole[:-4])))
    with pytest.raises(RefusedError, match=r"NaN or infinity|no encoder writes"):
        check_update(bytes(whole), artifact, RoundId(1), RoundKind.TRAINING, max_examples=10)
