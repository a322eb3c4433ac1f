"""Devices whose losses are parabolas, so that the optimum of a federation is known."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fedge import strategies
from fedge._kernels import sgd_step
from fedge.strategies import State, algorithms, cohort_of
from fedge.strategies.algorithms import Occasion, Sent
from fedge.training import Plan
from fedge.types import DeviceId, Update, Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Parabolas:
    """Device i loses sum(curvature[i] * (x - centre[i])**2) / 2, the same in every step."""

    curvature: np.ndarray  # (n_devices, n_params)
    centre: np.ndarray
    n_examples: tuple[int, ...]
    n_steps: tuple[int, ...]

    @property
    def optimum(self) -> np.ndarray:
        """Of the sum of the losses, each times its share of the examples; float64."""
        weights = self.curvature * np.array(self.n_examples)[:, None]
        mean: np.ndarray = (weights * self.centre).sum(axis=0) / weights.sum(axis=0)
        return mean

    def gradient(self, device: int, x: np.ndarray) -> np.ndarray:
        """Of one device's loss, in the dtype of x."""
        found: np.ndarray = self.curvature[device] * (x - self.centre[device])
        return found.astype(x.dtype)


def unequal(*, n_steps: tuple[int, ...] = (5, 5, 5, 5)) -> Parabolas:
    """Four devices that pull in different directions with different strength."""
    return Parabolas(
        curvature=np.array([[1.0, 4.0], [2.0, 0.5], [0.5, 1.0], [4.0, 2.0]]),
        centre=np.array([[3.0, -1.0], [-2.0, 4.0], [1.0, 1.0], [0.0, -3.0]]),
        n_examples=(10, 10, 10, 10),
        n_steps=n_steps,
    )


@dataclass(slots=True, kw_only=True)
class Federation:
    """Plays rounds in float32 with an algorithm of fedge, as its docstring says."""

    task: Parabolas
    spec: str
    plan: Plan
    strategy: str = "fedavg"
    own: dict[int, Vector] = field(default_factory=dict)

    def play(self, sampled: Sequence[Sequence[int]], start: Vector) -> Iterator[State]:
        """The state after each round, in which these devices take part."""
        algorithm, strategy = algorithms.get(self.spec), strategies.get(self.strategy)
        algorithms.check(algorithm, strategy, self.plan)
        total = sum(self.task.n_examples)
        state = algorithm.init(strategy.init(start))
        server: dict[str, Vector] = {}
        for devices in sampled:
            updates = {
                DeviceId(f"{device:03}"): self._train(algorithm, server, device, state.parameters)
                for device in devices
            }
            cohort = algorithm.prepare(cohort_of(updates), self.plan)
            occasion = Occasion(plan=self.plan, fleet_examples=total, server=server)
            state = algorithm.step(strategy, state, cohort, occasion)
            server = algorithm.server(state, total)
            yield state

    def _train(
        self,
        algorithm: algorithms.Algorithm,
        server: Mapping[str, Vector],
        device: int,
        model: Vector,
    ) -> Update:
        own, n_steps = self.own.get(device), self.task.n_steps[device]
        terms = algorithm.local(self.plan, server, own)
        delta = self._steps(device, model, terms)
        after = algorithm.after(self.plan, server, own, Sent(delta, n_steps))
        personal = algorithm.personal(model, own)
        if personal is not None:
            assert personal.start is not None
            after = personal.start + self._steps(device, personal.start, personal)
        if after is not None:
            self.own[device] = after
        n_examples = self.task.n_examples[device]
        return Update(delta=delta, n_examples=n_examples, n_steps=n_steps, loss=0.0)

    def _steps(self, device: int, start: Vector, terms: algorithms.LocalTerms) -> Vector:
        x, plan = start.copy(), self.plan
        speed = np.zeros_like(x) if plan.momentum else x[:0]
        for _ in range(self.task.n_steps[device]):
            gradient = self.task.gradient(device, x)
            factors = (plan.lr, plan.momentum, plan.weight_decay, terms.proximal)
            if terms.correction is not None:
                gradient = gradient + terms.correction
            sgd_step(x, gradient, speed, start, *factors)
        return x - start
