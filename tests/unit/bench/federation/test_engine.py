"""The federation in one process: it is FedAvg, and it refuses what an aggregator refuses."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from fedge import codecs
from fedge.bench.codecs.models import perceptron
from fedge.bench.federation import Adversary, Federation, Forged, Point, View
from fedge.builder import build_artifact
from fedge.errors import ConfigError
from fedge.training import ArrayData, Plan
from fedge.types import Vector

N_INPUTS, N_CLASSES, LR, EPOCHS = 5, 3, 0.3, 4
SIZES = (7, 12, 3, 9)


def examples(n: int, seed: int) -> ArrayData:
    rng = np.random.default_rng(seed)
    y = rng.integers(N_CLASSES, size=n)
    x = rng.normal(size=(n, N_INPUTS)) + np.eye(N_CLASSES, N_INPUTS)[y]
    return ArrayData({"x": x.astype(np.float32)}, y)


def federation(**changes: object) -> Federation:
    one = Federation(
        artifact=build_artifact(
            perceptron(N_INPUTS, (), N_CLASSES, seed=0), loss="cross_entropy", batch_size=16
        ),
        devices=[examples(n, seed) for seed, n in enumerate(SIZES)],
        test=examples(100, 99),
        plan=Plan(epochs=EPOCHS, batch_size=16, lr=LR, codec="none"),
        n_sampled=len(SIZES),
        downlink_codec="none",
        norm_bound=None,
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def play(rounds: int = 3, **changes: object) -> list[Point]:
    return list(federation(**changes).play(rounds))


def slope_at(model: Vector, data: ArrayData) -> Vector:
    """The gradient of softmax regression in float64, weights and then biases."""
    x, y = data.inputs["x"].astype(np.float64), data.targets
    weights, bias = model[:-N_CLASSES].reshape(N_CLASSES, N_INPUTS), model[-N_CLASSES:]
    scores = x @ weights.T + bias
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    excess = odds / odds.sum(axis=1, keepdims=True) - np.eye(N_CLASSES)[y]
    return np.concatenate([(excess.T @ x / len(y)).ravel(), excess.mean(axis=0)])


def fedavg_by_hand(rounds: int) -> Vector:
    """Every device takes EPOCHS steps on all its examples.

    Source: McMahan et al., 2017, arXiv:1602.05629, algorithm 1.
    """
    model = federation().artifact.parameters.astype(np.float64)
    for _ in range(rounds):
        total = np.zeros_like(model)
        for seed, n in enumerate(SIZES):
            own = model.copy()
            for _ in range(EPOCHS):
                own -= LR * slope_at(own, examples(n, seed))
            total += n * own
        model = total / sum(SIZES)
    return model


def scaffold_by_hand(rounds: int, n: int) -> Vector:
    """Four devices of n examples each, all of them in every round.

    Source: Karimireddy et al., 2020, arXiv:1910.06378, algorithm 1, option II, server lr 1.
    """
    model = federation().artifact.parameters.astype(np.float64)
    mean, controls = np.zeros_like(model), np.zeros((4, model.size))
    for _ in range(rounds):
        owns = []
        for seed in range(4):
            own = model.copy()
            for _ in range(EPOCHS):
                own -= LR * (slope_at(own, examples(n, seed)) - controls[seed] + mean)
            owns.append(own)
        changed = [
            control - mean + (model - own) / (EPOCHS * LR)
            for control, own in zip(controls, owns, strict=True)
        ]
        model = np.mean(owns, axis=0)
        mean = mean + np.mean(np.array(changed) - controls, axis=0)
        controls = np.array(changed)
    return model


def test_a_run_is_federated_averaging_as_the_paper_has_it() -> None:
    np.testing.assert_allclose(play(3)[-1].parameters, fedavg_by_hand(rounds=3), atol=2e-6)


def test_an_algorithm_works_on_both_ends_as_the_paper_has_it() -> None:
    plan = Plan(epochs=EPOCHS, batch_size=16, lr=LR, codec="none", algorithm="scaffold")
    devices = [examples(9, seed) for seed in range(4)]
    found = play(4, devices=devices, plan=plan)[-1].parameters
    plain = play(4, devices=devices)[-1].parameters
    want = scaffold_by_hand(rounds=4, n=9)
    np.testing.assert_allclose(found, want, atol=5e-6)
    assert abs(plain - want).max() > 1e-3  # FedAvg is something else


def test_what_an_algorithm_sends_to_devices_is_counted() -> None:
    plan = Plan(epochs=EPOCHS, batch_size=16, lr=LR, codec="none", algorithm="scaffold")
    whole, twice = play(2)[-1].down, play(2, plan=plan)[-1].down
    assert 2 * whole < twice < 2 * whole + 4 * 60  # headers


def test_accuracy_and_loss_are_those_of_the_aggregators_model() -> None:
    model, data = fedavg_by_hand(rounds=2), examples(100, 99)
    weights, bias = model[:-N_CLASSES].reshape(N_CLASSES, N_INPUTS), model[-N_CLASSES:]
    scores = data.inputs["x"] @ weights.T + bias
    logarithm = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(100), data.targets]
    point = play(2)[-1]
    assert point.accuracy == pytest.approx((scores.argmax(axis=1) == data.targets).mean())
    assert point.loss == pytest.approx(logarithm.mean(), abs=1e-5)


def test_the_same_seed_gives_the_same_run_and_another_one_another() -> None:
    settings = {"n_sampled": 2, "plan": Plan(local_steps=3, batch_size=4, codec="topk:0.1/sign")}
    first, again, other = (play(4, seed=seed, **settings) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[-1].parameters, again[-1].parameters)
    assert not np.array_equal(first[-1].parameters, other[-1].parameters)


def test_every_payload_and_every_whole_model_is_counted() -> None:
    points = play(3, n_sampled=2)
    n_params = N_INPUTS * N_CLASSES + N_CLASSES
    for point in points:
        assert 4 * n_params * 2 * point.round < point.up < (4 * n_params + 20) * 2 * point.round
    assert points[0].down == 0  # the first model comes with the artifact
    assert points[1].down == 2 * 4 * n_params


def test_a_device_that_was_away_fetches_what_it_missed_but_never_more_than_the_model() -> None:
    whole = 4 * (N_INPUTS * N_CLASSES + N_CLASSES)
    points = play(12, n_sampled=1, downlink_codec="topk:0.1/sign")
    steps = np.diff([point.down for point in points])
    assert 0 < steps.min() < steps.max() <= whole


def test_devices_train_from_what_the_broadcasts_gave_them() -> None:
    exact, coarse = play(6)[-1], play(6, downlink_codec="topk:0.1/sign")[-1]
    assert not np.array_equal(exact.parameters, coarse.parameters)


def test_uneven_devices_take_between_one_epoch_and_all() -> None:
    even, uneven = play(1)[-1], play(1, uneven=True)[-1]
    assert not np.array_equal(even.parameters, uneven.parameters)
    only_one = play(1, uneven=True, plan=Plan(epochs=1, batch_size=16, lr=LR, codec="none"))[-1]
    one = play(1, plan=Plan(epochs=1, batch_size=16, lr=LR, codec="none"))[-1]
    np.testing.assert_array_equal(only_one.parameters, one.parameters)


def test_a_device_whose_training_diverges_sends_nothing_and_the_round_goes_on() -> None:
    devices = list(federation().devices)
    devices[1] = ArrayData({"x": np.full((4, N_INPUTS), 1e38, np.float32)}, np.zeros(4, np.int64))
    point = play(1, devices=devices)[-1]
    assert (point.silent, point.refused) == (1, 0)
    assert point.accuracy > 0.3


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown strategy"):
        play(1, strategy="fedmagic")
    with pytest.raises(ConfigError, match="needs more than a round's updates"):
        play(1, strategy="fltrust")
    with pytest.raises(ConfigError, match="unknown codec"):
        play(1, downlink_codec="zip")


@dataclass(frozen=True)
class Scripted:
    """Sends what the test says."""

    says: Forged
    hostile: frozenset[int] = frozenset({1})

    def poison(self, device: int, data: ArrayData) -> ArrayData:
        return data

    def forge(self, view: View) -> Mapping[int, Forged]:
        return dict.fromkeys(view.own, self.says)


def test_an_update_that_is_not_finite_is_refused_and_the_others_count() -> None:
    n_params = N_INPUTS * N_CLASSES + N_CLASSES
    stamp = codecs.Stamp(schema=federation().artifact.schema[:4], round=1)
    honest = codecs.get("none").encode(
        np.ones(n_params, np.float32), None, np.random.default_rng(0), stamp=stamp
    )
    body = honest[:-8] + np.float32(np.nan).tobytes()  # in place of the last 1
    whole = body + zlib.crc32(body).to_bytes(4, "little")
    assert codecs.read_header(whole).n_params == n_params  # not refused for its checksum
    attack: Adversary = Scripted(Forged(payload=whole))
    point = play(1, adversary=attack)[-1]
    assert (point.refused, point.dropped, point.silent) == (1, 0, 0)
    assert np.isfinite(point.parameters).all()


def test_a_long_update_is_shortened_and_an_absurd_one_dropped() -> None:
    ones = np.ones(N_INPUTS * N_CLASSES + N_CLASSES, np.float32)
    long = play(1, norm_bound=2.0, adversary=Scripted(Forged(delta=ones)))[-1]
    absurd = play(1, norm_bound=2.0, adversary=Scripted(Forged(delta=1000 * ones)))[-1]
    assert (long.clipped, long.dropped) == (1, 0)
    assert (absurd.clipped, absurd.dropped) == (0, 1)


def test_a_rule_that_cannot_work_with_the_cohort_leaves_the_model() -> None:
    (point,) = play(1, strategy="multi_krum:f=2")  # needs more than four
    np.testing.assert_array_equal(point.parameters, federation().artifact.parameters)


def test_a_claim_of_many_examples_weighs_as_an_aggregator_weighs_it() -> None:
    ones = np.ones(N_INPUTS * N_CLASSES + N_CLASSES, np.float32)
    start = federation().artifact.parameters
    claims = Scripted(Forged(delta=ones, n_examples=10**6))
    moved = play(1, adversary=claims, weight_bound=None)[-1].parameters - start
    np.testing.assert_allclose(moved, 1, atol=1e-3)
    capped = play(1, adversary=claims)[-1].parameters - start
    assert (capped < 0.9).all()


@dataclass(frozen=True)
class Late:
    """Device 0 sends zeros; device 1 claims too much in round 1, and sends zeros in round 2."""

    seen: list[Vector] = field(default_factory=list)
    hostile: frozenset[int] = frozenset({0, 1})

    def poison(self, device: int, data: ArrayData) -> ArrayData:
        return data

    def forge(self, view: View) -> Mapping[int, Forged]:
        zeros = Forged(delta=np.zeros_like(view.own[0]))
        if view.round > 1:
            return {0: zeros, 1: zeros}
        self.seen.append(view.own[1].copy())
        return {0: zeros, 1: Forged(delta=view.own[1], n_examples=10**8)}


def test_a_refused_update_returns_to_its_devices_residual_and_arrives_in_the_next() -> None:
    late = Late()
    plan = Plan(epochs=EPOCHS, batch_size=16, lr=LR, codec="topk:0.99/int8")
    devices = list(federation().devices[:2])
    points = play(2, devices=devices, n_sampled=2, plan=plan, adversary=late)
    start = federation().artifact.parameters
    assert [point.refused for point in points] == [1, 0]
    np.testing.assert_array_equal(points[0].parameters, start)
    want = late.seen[0] * SIZES[1] / (SIZES[0] + SIZES[1])
    np.testing.assert_allclose(points[1].parameters - start, want, atol=0.02 * abs(want).max())
