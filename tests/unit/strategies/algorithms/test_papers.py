"""Each algorithm against its paper's formula, in float64, with few devices in each round."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from fedge.training import Plan
from tests.support.quadratics import Federation, Parabolas, unequal

START = np.array([5.0, -5.0], np.float32)
SAMPLED = ((0, 1), (2, 3), (1, 3), (0, 1, 2, 3), (2,), (0, 3), (1, 2))
PLAN = Plan(local_steps=5, lr=0.1, codec="none")
Rounds = Iterator[np.ndarray]


def local(
    task: Parabolas,
    device: int,
    start: np.ndarray,
    added: Callable[[np.ndarray], np.ndarray | float],
    lr: float = 0.1,
) -> np.ndarray:
    x = start
    for _ in range(task.n_steps[device]):
        x = x - lr * (task.gradient(device, x) + added(x))
    return x


def fedprox(task: Parabolas, mu: float) -> Rounds:
    """Li et al., 2020, equation 2: F_k(w) + mu / 2 |w - w_t|^2; the mean of the results."""
    x = START.astype(float)
    for devices in SAMPLED:
        before = x
        x = np.mean([local(task, k, x, lambda w: mu * (w - before)) for k in devices], axis=0)  # noqa: B023
        yield x


def scaffold(task: Parabolas, lr: float = 0.1) -> Rounds:
    """Karimireddy et al., 2020, algorithm 1 with option II and a global step of 1."""
    x, c, own = START.astype(float), np.zeros(2), np.zeros((4, 2))
    for devices in SAMPLED:
        moves, changes = [], []
        for i in devices:
            y = local(task, i, x, lambda _: -own[i] + c)  # noqa: B023
            after = own[i] - c + (x - y) / (task.n_steps[i] * lr)
            moves.append(y - x)
            changes.append(after - own[i])
            own[i] = after
        x = x + np.mean(moves, axis=0)
        c = c + len(devices) / 4 * np.mean(changes, axis=0)
        yield x


def feddyn(task: Parabolas, alpha: float) -> Rounds:
    """Acar et al., 2021, algorithm 1, with steps of gradient descent for the argmin."""
    x, h, own = START.astype(float), np.zeros(2), np.zeros((4, 2))
    for devices in SAMPLED:
        before, ends = x, []
        for k in devices:
            theta = local(task, k, x, lambda w: -own[k] + alpha * (w - before))  # noqa: B023
            own[k] = own[k] - alpha * (theta - before)
            ends.append(theta)
        h = h - alpha / 4 * sum(theta - before for theta in ends)
        x = np.mean(ends, axis=0) - h / alpha
        yield x


def fednova(task: Parabolas, lr: float = 0.1) -> Rounds:
    """Wang et al., 2020, equation 7: x - tau_eff sum_i p_i lr d_i, d_i = G_i a_i / |a_i|_1."""
    x = START.astype(float)
    for devices in SAMPLED:
        share = np.array([task.n_examples[i] for i in devices]) / sum(
            task.n_examples[i] for i in devices
        )
        tau = np.array([task.n_steps[i] for i in devices])
        d = [(x - local(task, i, x, lambda _: 0.0)) / (lr * task.n_steps[i]) for i in devices]
        x = x - (share @ tau) * lr * (share @ np.array(d))
        yield x


def _close(task: Parabolas, spec: str, want: Rounds) -> None:
    found = Federation(task=task, spec=spec, plan=PLAN).play(SAMPLED, START)
    for state, expected in zip(found, want, strict=True):
        assert state.parameters.dtype == np.float32
        np.testing.assert_allclose(state.parameters, expected, rtol=3e-5, atol=3e-5)


def test_fedprox_is_the_papers() -> None:
    _close(unequal(), "fedprox:mu=0.5", fedprox(unequal(), 0.5))


@pytest.mark.parametrize("n_steps", [(5, 5, 5, 5), (2, 9, 5, 1)])
def test_scaffold_is_the_papers(n_steps: tuple[int, ...]) -> None:
    task = unequal(n_steps=n_steps)
    _close(task, "scaffold", scaffold(task))


@pytest.mark.parametrize("n_steps", [(5, 5, 5, 5), (2, 9, 5, 1)])
def test_feddyn_is_the_papers(n_steps: tuple[int, ...]) -> None:
    task = unequal(n_steps=n_steps)
    _close(task, "feddyn:alpha=0.5", feddyn(task, 0.5))


def test_fednova_is_the_papers() -> None:
    # The plan's numbers of steps: 2, 9, 5 and 1 batches.
    task = replace(unequal(n_steps=(2, 9, 5, 1)), n_examples=(20, 90, 50, 10))
    plan = Plan(epochs=1, batch_size=10, lr=0.1, codec="none")
    found = Federation(task=task, spec="fednova", plan=plan).play(SAMPLED, START)
    for state, expected in zip(found, fednova(task), strict=True):
        np.testing.assert_allclose(state.parameters, expected, rtol=3e-5, atol=3e-5)


def test_dittos_global_model_is_fedavgs_and_the_personal_ones_are_the_papers() -> None:
    """Li et al., 2021, algorithm 1: v_k -= lr (grad F_k(v_k) + lam (v_k - w_t))."""
    task, lam = unequal(), 0.5
    ditto = Federation(task=task, spec=f"ditto:lam={lam}", plan=PLAN)
    got = [state.parameters for state in ditto.play(SAMPLED, START)]
    fedavg = Federation(task=task, spec="fedavg", plan=PLAN)
    np.testing.assert_array_equal(got, [one.parameters for one in fedavg.play(SAMPLED, START)])
    own = _personal(task, lam, [START, *got])
    for device, model in ditto.own.items():
        np.testing.assert_allclose(model, own[device], rtol=3e-5, atol=3e-5)


def _personal(task: Parabolas, lam: float, models: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
    own: dict[int, np.ndarray] = {}
    for devices, model in zip(SAMPLED, models, strict=False):
        w = model.astype(float)
        for k in devices:
            own[k] = local(task, k, own.get(k, w), lambda v: lam * (v - w))  # noqa: B023
    return own
