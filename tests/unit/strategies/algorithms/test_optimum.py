"""Where each algorithm ends on parabolas, whose common optimum is known."""

from dataclasses import replace

import numpy as np
import pytest

from fedge.training import Plan
from tests.support.quadratics import Federation, Parabolas, unequal

START = np.array([5.0, -5.0], np.float32)
Rounds = list[tuple[int, ...]]
EVERYBODY: Rounds = [(0, 1, 2, 3)] * 150
PLAN = Plan(local_steps=5, lr=0.1, codec="none")


def _miss(task: Parabolas, spec: str, *, plan: Plan = PLAN, sampled: Rounds = EVERYBODY) -> float:
    *_, last = Federation(task=task, spec=spec, plan=plan).play(sampled, START)
    return float(np.abs(last.parameters - task.optimum).max())


def _pairs(n_rounds: int) -> Rounds:
    rng = np.random.default_rng(7)
    return [tuple(sorted(rng.choice(4, 2, replace=False).tolist())) for _ in range(n_rounds)]


def test_fedavg_ends_beside_the_optimum() -> None:
    assert _miss(unequal(), "fedavg") > 0.2


@pytest.mark.parametrize("spec", ["scaffold", "feddyn:alpha=0.5"])
def test_corrected_steps_end_at_the_optimum(spec: str) -> None:
    assert _miss(unequal(), spec) < 1e-4


@pytest.mark.parametrize("spec", ["scaffold", "feddyn:alpha=0.5"])
def test_corrected_steps_end_there_with_half_of_the_fleet_in_each_round(spec: str) -> None:
    assert _miss(unequal(), spec, sampled=_pairs(300)) < 1e-3


@pytest.mark.parametrize("spec", ["scaffold", "feddyn:alpha=0.5"])
def test_the_optimum_weighs_devices_by_their_examples(spec: str) -> None:
    task = replace(unequal(), n_examples=(40, 5, 15, 20))
    assert np.abs(task.optimum - unequal().optimum).max() > 0.2
    assert _miss(task, spec, sampled=_pairs(300)) < 1e-3


@pytest.mark.parametrize("spec", ["scaffold", "feddyn:alpha=0.5"])
def test_corrected_steps_end_there_with_momentum_and_uneven_steps(spec: str) -> None:
    task = unequal(n_steps=(2, 9, 5, 1))
    plan = replace(PLAN, momentum=0.5, lr=0.05)
    assert _miss(task, spec, plan=plan, sampled=_pairs(500)) < 1e-3


def test_fednova_ends_nearer_than_fedavg_when_steps_are_uneven() -> None:
    """With small steps the only bias left is that devices with more steps count more."""
    task = unequal(n_steps=(2, 9, 5, 1))
    plan = Plan(local_steps=9, lr=0.005, codec="none")
    sampled: Rounds = [(0, 1, 2, 3)] * 500
    assert _miss(task, "fedavg", plan=plan, sampled=sampled) > 0.5
    assert _miss(task, "fednova", plan=plan, sampled=sampled) < 0.05


@pytest.mark.parametrize("mu", [0.1, 1.0, 10.0])
def test_fedprox_ends_where_devices_that_train_to_the_end_hold_each_other(mu: float) -> None:
    """Device i ends at (a_i c_i + mu w) / (a_i + mu); the w that is the mean of these is known."""
    task = unequal(n_steps=(300,) * 4)
    share = task.curvature / (task.curvature + mu)
    want = (share * task.centre).sum(axis=0) / share.sum(axis=0)
    plan = replace(PLAN, local_steps=300, lr=0.05)
    *_, last = Federation(task=task, spec=f"fedprox:mu={mu}", plan=plan).play(EVERYBODY, START)
    np.testing.assert_allclose(last.parameters, want, atol=1e-4)


def test_the_stronger_the_pull_the_nearer_fedprox_ends_to_the_optimum() -> None:
    plan = replace(PLAN, local_steps=300, lr=0.05)
    task = unequal(n_steps=(300,) * 4)
    misses = [_miss(task, f"fedprox:mu={mu}", plan=plan) for mu in (0, 0.1, 1, 10)]
    assert misses == sorted(misses, reverse=True)
    assert misses[-1] < 0.2 * misses[0]


@pytest.mark.parametrize("lam", [0.1, 1.0, 4.0])
def test_ditto_s_models_end_between_their_own_centres_and_the_global_model(lam: float) -> None:
    """The minimum of a (v - c)^2 / 2 + lam (v - w)^2 / 2 is (a c + lam w) / (a + lam)."""
    federation = Federation(task=unequal(), spec=f"ditto:lam={lam}", plan=PLAN)
    *_, last = federation.play(EVERYBODY, START)
    *_, plain = Federation(task=unequal(), spec="fedavg", plan=PLAN).play(EVERYBODY, START)
    np.testing.assert_array_equal(last.parameters, plain.parameters)
    for device, own in federation.own.items():
        a, c = unequal().curvature[device], unequal().centre[device]
        np.testing.assert_allclose(own, (a * c + lam * last.parameters) / (a + lam), atol=1e-4)
