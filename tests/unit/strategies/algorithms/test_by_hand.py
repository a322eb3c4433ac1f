"""One round of each algorithm, worked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from fedge import strategies
from fedge.strategies import State, algorithms, cohort_of
from fedge.strategies.algorithms import Occasion, Sent, effective_steps
from fedge.training import Plan
from fedge.types import DeviceId, Update
from tests.support.cohorts import vector

PLAN = Plan(local_steps=4, lr=0.5, codec="none")


def _update(delta: float, *, n_examples: int = 1, n_steps: int | None = 4) -> Update:
    return Update(delta=vector(delta), n_examples=n_examples, n_steps=n_steps, loss=0.0)  # type: ignore[arg-type] # None: an older device's


def _step(spec: str, state: State, occasion: Occasion, *updates: Update) -> State:
    cohort = cohort_of({DeviceId(f"d{place}"): one for place, one in enumerate(updates)})
    algorithm = algorithms.get(spec)
    prepared = algorithm.prepare(cohort, occasion.plan)
    return algorithm.step(strategies.get("fedavg"), state, prepared, occasion)


def test_fedprox_pulls_with_mu() -> None:
    terms = algorithms.get("fedprox:mu=0.25").local(PLAN, {}, None)
    assert (terms.proximal, terms.correction, terms.start) == (0.25, None, None)


def test_fedavg_pulls_with_the_plans_own_term() -> None:
    assert algorithms.get("fedavg").local(Plan(proximal=0.5), {}, None).proximal == 0.5


def test_a_scaffold_device_corrects_by_c_minus_its_own_and_learns_from_what_it_sent() -> None:
    # c = 3, c_i = 1: correction 2; c_i after = 1 - 3 - (-8) / (4 * 0.5) = 2
    scaffold = algorithms.get("scaffold")
    server, own = {"control": vector(3)}, vector(1)
    np.testing.assert_array_equal(scaffold.local(PLAN, server, own).correction, vector(2))
    after = scaffold.after(PLAN, server, own, Sent(vector(-8), 4))
    assert after is not None
    np.testing.assert_array_equal(after, vector(2))


@pytest.mark.parametrize(
    ("codec", "share"),
    [("none", 1), ("int8", 1), ("eden:1", 1), ("topk:0.01/sign", 0.1), ("topk:0.25/int8+ctx", 0.5),
     ("mask:0.04/eden:2", 0.2), ("budget:1000", 0.1)],
)  # fmt: skip
def test_a_scaffold_device_learns_slower_if_it_sends_less(codec: str, share: float) -> None:
    # c_i changes by 1 as above, times the square root of the share of values that are sent.
    plan, scaffold = replace(PLAN, codec=codec), algorithms.get("scaffold")
    after = scaffold.after(plan, {"control": vector(3)}, vector(1), Sent(vector(-8), 4))
    assert after is not None
    np.testing.assert_allclose(after, vector(1 + share), rtol=1e-6)
    occasion = Occasion(plan=plan, fleet_examples=1, server={"control": vector(3)})
    state = _step("scaffold", State(vector(0), {"control": vector(1)}), occasion, _update(-8))
    np.testing.assert_allclose(state.memory["control"], after, rtol=1e-6)


def test_a_scaffold_aggregator_learns_the_same_from_the_deltas() -> None:
    # Both c_i change by -3 - delta / 2: 1 and -3.5; weighted by 2 and 4 examples 2 - 14 = -12.
    # The model moves by the mean delta, (2 * -8 + 4 * 1) / 6 = -2.
    occasion = Occasion(plan=PLAN, fleet_examples=12, server={"control": vector(3)})
    state = State(vector(10), {"control": vector(36)})
    after = _step("scaffold", state, occasion, _update(-8, n_examples=2), _update(1, n_examples=4))
    np.testing.assert_array_equal(after.memory["control"], vector(24))
    np.testing.assert_array_equal(after.parameters, vector(8))
    sent = algorithms.get("scaffold").server(after, 12)
    np.testing.assert_array_equal(sent["control"], vector(2))


def test_the_first_round_of_scaffold_is_fedavgs() -> None:
    scaffold = algorithms.get("scaffold")
    assert scaffold.local(PLAN, {}, None).correction is None
    after = scaffold.after(PLAN, {}, None, Sent(vector(-8), 4))
    assert after is not None
    np.testing.assert_array_equal(after, vector(4))


@pytest.mark.parametrize(("spec", "name"), [("scaffold", "control"), ("feddyn", "regulariser")])
def test_a_device_that_says_no_number_of_steps_counts_for_the_model_alone(
    spec: str, name: str
) -> None:
    occasion = Occasion(plan=PLAN, fleet_examples=2, server={"control": vector(3)})
    state = State(vector(0), {name: vector(0)})
    with_it = _step(spec, state, occasion, _update(-8), _update(-2, n_steps=None))
    alone = _step(spec, state, occasion, _update(-8))
    np.testing.assert_array_equal(with_it.memory[name], alone.memory[name])
    shift = -5 if spec == "scaffold" else -5 - 4  # -h / alpha = 0.1 * 8 / 2 / 0.1 less
    np.testing.assert_allclose(with_it.parameters, vector(shift), rtol=1e-6)


def test_a_feddyn_device_subtracts_its_last_gradient() -> None:
    # g_k after = 1 - 0.5 * (-4) = 3
    feddyn = algorithms.get("feddyn:alpha=0.5")
    terms = feddyn.local(PLAN, {}, vector(1))
    assert terms.proximal == 0.5
    np.testing.assert_array_equal(terms.correction, vector(-1))
    after = feddyn.after(PLAN, {}, vector(1), Sent(vector(-4), 4))
    assert after is not None
    np.testing.assert_array_equal(after, vector(3))


def test_a_feddyn_device_learns_slower_if_it_sends_less() -> None:
    # g_k changes by 2 as above, times the root of 0.01.
    plan, feddyn = replace(PLAN, codec="topk:0.01/sign"), algorithms.get("feddyn:alpha=0.5")
    after = feddyn.after(plan, {}, vector(1), Sent(vector(-4), 4))
    assert after is not None
    np.testing.assert_allclose(after, vector(1.2), rtol=1e-6)
    occasion = Occasion(plan=plan, fleet_examples=1)
    state = _step(
        "feddyn:alpha=0.5", State(vector(0), {"regulariser": vector(1)}), occasion, _update(-4)
    )
    np.testing.assert_allclose(state.memory["regulariser"], after, rtol=1e-6)


def test_a_feddyn_aggregator_moves_by_the_mean_and_by_the_fleets_gradients() -> None:
    # Four devices in the fleet, two took part: h = (4 + 0.5 * (4 + 2)) / 4 = 1.75 of sums 7;
    # the model moves by -3 - 1.75 / 0.5 = -6.5.
    occasion = Occasion(plan=PLAN, fleet_examples=4)
    state = State(vector(10), {"regulariser": vector(4)})
    after = _step("feddyn:alpha=0.5", state, occasion, _update(-4), _update(-2))
    np.testing.assert_array_equal(after.memory["regulariser"], vector(7))
    np.testing.assert_array_equal(after.parameters, vector(3.5))


def test_fednova_divides_by_steps() -> None:
    # Deltas a step -4 and -1; the mean number of steps is (1 + 3) / 2 = 2: 2 * (-4 - 1) / 2 = -5.
    occasion = Occasion(plan=PLAN, fleet_examples=2)
    after = _step(
        "fednova", State(vector(10)), occasion, _update(-4, n_steps=1), _update(-3, n_steps=3)
    )
    np.testing.assert_array_equal(after.parameters, vector(5))


def test_fednova_keeps_a_delta_whose_steps_are_not_known() -> None:
    occasion = Occasion(plan=PLAN, fleet_examples=2)
    after = _step(
        "fednova", State(vector(0)), occasion, _update(-4, n_steps=2), _update(-2, n_steps=None)
    )
    np.testing.assert_array_equal(after.parameters, vector(-3))


def test_a_device_that_claims_too_many_steps_shortens_its_own_delta_alone() -> None:
    # The plan has 4 steps, so the mean is 4 whatever is claimed: (-4 + -4 * 4 / 400) / 2.
    occasion = Occasion(plan=PLAN, fleet_examples=2)
    after = _step("fednova", State(vector(0)), occasion, _update(-4), _update(-4, n_steps=400))
    np.testing.assert_allclose(after.parameters, vector(-2.02), rtol=1e-6)


def test_a_ditto_device_starts_from_its_own_model_and_is_pulled_to_the_global_one() -> None:
    # 0.5 * (v - 2) = 0.5 * (v - 6) + 0.5 * (6 - 2)
    terms = algorithms.get("ditto:lam=0.5").personal(vector(2), vector(6))
    assert terms is not None
    assert terms.proximal == 0.5
    np.testing.assert_array_equal(terms.start, vector(6))
    np.testing.assert_array_equal(terms.correction, vector(2))


def test_the_first_personal_model_is_the_global_one() -> None:
    terms = algorithms.get("ditto").personal(vector(2), None)
    assert terms is not None
    np.testing.assert_array_equal(terms.start, vector(2))
    np.testing.assert_array_equal(terms.correction, vector(0))


def test_steps_under_momentum_weigh_more_and_under_a_pull_less() -> None:
    # momentum 0.5, three steps: 1.75 + 1.5 + 1; proximal 0.5 with lr 0.5: 0.75**2 + 0.75 + 1.
    assert effective_steps(3, Plan()) == 3
    assert effective_steps(3, Plan(momentum=0.5)) == 4.25
    assert effective_steps(3, Plan(lr=0.5, proximal=0.5)) == 0.5625 + 0.75 + 1
