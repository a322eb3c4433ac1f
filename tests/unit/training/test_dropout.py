"""What dropout drops in local training, and that it drops nothing elsewhere."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.artifact import DropoutSpec
from fedge.training import ArrayData, Plan, Trainer, dropout, sampling
from fedge.types import Array, Update, Vector
from tests.support import models

HALF = models.dropping(models.linear(n_in=1, batch_size=1), 0.5)  # y = x f w + b
ONES = ArrayData({"x": np.ones((64, 1), np.float32)}, np.zeros((64, 1), np.float32))


class EvenRng:
    """Evenly spaced uniforms in [0, 1), so that chance plays no part."""

    def random(self, *, dtype: type, out: Vector) -> None:
        out[:] = np.arange(len(out)) / len(out)


@pytest.mark.parametrize("ratio", [0.0, 0.25, 0.5, 0.875])
def test_a_ratio_is_dropped_and_the_mean_stays_1(ratio: float) -> None:
    factors = np.empty(64, np.float32)
    rng = cast("np.random.Generator", EvenRng())
    dropout.draw([DropoutSpec(ratio=ratio, size=64)], rng, factors)
    assert np.count_nonzero(factors == 0) == 64 * ratio
    assert set(factors[factors != 0]) == {np.float32(1 / (1 - ratio))}
    assert factors.mean() == pytest.approx(1, rel=1e-6)


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 9)), max_size=5))
def test_each_spec_has_its_own_part_of_the_factors(facts: list[tuple[float, int]]) -> None:
    specs = [DropoutSpec(ratio=ratio, size=size) for ratio, size in facts]
    factors = np.full(sum(spec.size for spec in specs), np.nan, np.float32)
    dropout.draw(specs, dropout.generator(0), factors)
    owner = np.repeat(
        np.array([1 / (1 - ratio) for ratio, _ in facts], np.float32), [size for _, size in facts]
    )
    assert ((factors == 0) | (factors == owner)).all()


def test_the_rng_of_a_seed_never_changes() -> None:
    """Draws are the upper 24 bits of each half of PCG64's numbers, low half first."""
    numbers = np.random.PCG64(np.random.SeedSequence(7).spawn(2)[1]).random_raw(3)
    halves = [int(number) >> shift & 0xFFFFFFFF for number in numbers for shift in (0, 32)]
    kept = [half / 2**32 >= 0.4 for half in halves]
    assert kept == [True, True, False, False, True, False]  # 0.68, 0.48, 0.399, 0.06, 0.44, 0.22
    factors = np.empty(6, np.float32)
    dropout.draw([DropoutSpec(ratio=0.4, size=6)], dropout.generator(7), factors)
    np.testing.assert_array_equal(factors, np.float32(1 / 0.6) * np.array(kept, np.float32))


def step(plan: Plan) -> Update:
    """A round of HALF from w = 1, b = 0: an example's loss is f^2, its slopes 2 f^2 and 2 f."""
    return Trainer(HALF).fit(np.array([1, 0], np.float32), ONES, plan)


def test_each_micro_batch_draws_its_own_factors_by_hand() -> None:
    """Factors are 0 or 2: of 64 examples in 64 micro-batches k are kept."""
    update = step(Plan(local_steps=1, batch_size=64, lr=1.0))
    k = update.loss * 64 / 4
    assert k == int(k)
    assert 16 < k < 48
    np.testing.assert_allclose(update.delta, [-2 * 4 * k / 64, -2 * 2 * k / 64], rtol=1e-6)


def test_the_same_seed_drops_the_same_activations_and_another_seed_others() -> None:
    first, again, other = (
        step(Plan(batch_size=1, seed=seed)).delta.tobytes() for seed in (5, 5, 6)
    )
    assert first == again != other


@dataclass
class Recorded:
    """ONES, and which of them were requested."""

    asked: list[list[int]]
    n_examples: int = 64

    def batch(self, indices: Array) -> tuple[dict[str, Array], Array]:
        self.asked.append(indices.tolist())
        return ONES.batch(indices)


def test_dropout_leaves_the_order_of_the_examples_alone() -> None:
    data = Recorded([])
    Trainer(HALF).fit(np.zeros(2, np.float32), data, Plan(batch_size=1, seed=3))
    order = sampling.batches(64, 1, 3)
    assert data.asked == [next(order).tolist() for _ in range(64)]


def test_nothing_is_dropped_outside_local_training() -> None:
    """Not even right after it, when the buffers still hold the factors."""
    trainer, parameters = Trainer(HALF), np.array([1, 0], np.float32)
    for _ in range(2):
        loss, gradient = trainer.loss_and_gradient(parameters, ONES.inputs, ONES.targets)
        assert (loss, gradient.tolist()) == (1, [2, 2])
        assert trainer.evaluate(parameters, ONES).loss == 1
        trainer.fit(parameters, ONES, Plan(batch_size=64))
