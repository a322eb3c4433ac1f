"""Rounds of a federation, one after another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedge import strategies
from fedge.aggregator.models.model import with_state
from fedge.artifact import Artifact
from fedge.bench.federation.adversary import Adversary
from fedge.bench.federation.aggregation import Aggregation
from fedge.bench.federation.downlink import Downlink
from fedge.bench.federation.fleet import Fleet
from fedge.codecs import Stamp
from fedge.config.aggregator import AggregatorConfig
from fedge.errors import ConfigError
from fedge.setting import default_of
from fedge.strategies import algorithms
from fedge.strategies.rules import needs_history, needs_reference
from fedge.training import ArrayData, Plan, Trainer
from fedge.types import Vector


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Point:
    """After a round.

    Attributes:
        round: its number, from 1.
        accuracy, loss: of the aggregator's model on the test data; NaN where there is none.
        up, down: bytes of all devices so far.
        silent: devices of this round that sent nothing, because their training diverged.
        refused: updates of this round that the checks on arrival refused.
        dropped, clipped: those that the norm bound left out, or shortened.
        quarantined: those of devices in quarantine, which did not count.
        parameters: the aggregator's model, float32 (n_params,).
    """

    round: int
    accuracy: float
    loss: float
    up: int
    down: int
    silent: int
    refused: int
    dropped: int
    clipped: int
    quarantined: int
    parameters: Vector


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Federation:
    """Devices, an aggregator and what they agreed on, in one process.

    Training, codecs both ways, the checks on arrival, the bounds, the quarantine and the
    strategy are the product's own functions. What is missing is the network, and updates that
    arrive late.

    Attributes:
        artifact: the model.
        devices: the examples of each.
        test: what models are tested on.
        plan: of every round; its seed does not matter.
        strategy: as in `fedge aggregate`.
        downlink_codec: likewise; `none` sends whole models.
        n_sampled: devices in a round, drawn evenly without repeats.
        seed: of everything that is drawn at random.
        norm_bound, weight_bound, quarantine_after: as in `fedge aggregate`.
        uneven: a device draws its epochs of each round evenly from 1 to the plan's.
        adversary: who controls some of the devices.

    Raises:
        ConfigError: from `play`, for an unknown strategy or codec.
        DataError: likewise, for data that do not fit the model.
    """

    artifact: Artifact
    devices: Sequence[ArrayData]
    test: ArrayData
    plan: Plan
    n_sampled: int
    seed: int = 0
    strategy: str = default_of(AggregatorConfig, "strategy")
    downlink_codec: str = default_of(AggregatorConfig, "downlink_codec")
    norm_bound: float | None = default_of(AggregatorConfig, "norm_bound")
    weight_bound: float | None = default_of(AggregatorConfig, "weight_bound")
    quarantine_after: int | None = default_of(AggregatorConfig, "quarantine_after")
    uneven: bool = False
    adversary: Adversary | None = None

    def play(self, rounds: int) -> Iterator[Point]:
        """Round after round, from the artifact's parameters; each call starts afresh."""
        trainer = Trainer(self.artifact)
        test = self.test.check(self.artifact.manifest)
        fleet, aggregation, downlink = self._fleet(trainer), self._aggregation(), self._downlink()
        rng = np.random.default_rng((self.seed, 0))
        up = down = 0
        for round_ in range(1, rounds + 1):
            cohort = sorted(map(int, rng.permutation(len(self.devices))[: self.n_sampled]))
            down += sum(map(downlink.catch_up, cohort))
            down += len(cohort) * len(aggregation.served.data or b"")
            sent = fleet.work(round_, cohort, downlink.held, aggregation.served.vectors)
            up += sum(len(one.payload) for one in sent)
            closed = aggregation.close(round_, cohort, sent)
            fleet.answer(sent, closed.refused)
            parameters = with_state(self.artifact.parameters, aggregation.state)
            downlink.publish(parameters, Stamp(schema=self.artifact.schema[:4], round=round_))
            found = trainer.evaluate(parameters, test)
            yield Point(
                round=round_,
                accuracy=np.nan if found.accuracy is None else found.accuracy,
                loss=found.loss,
                up=up,
                down=down,
                silent=len(cohort) - len(sent),
                refused=len(closed.refused),
                dropped=closed.dropped,
                clipped=closed.clipped,
                quarantined=closed.quarantined,
                parameters=parameters,
            )

    def _fleet(self, trainer: Trainer) -> Fleet:
        devices = [data.check(self.artifact.manifest) for data in self.devices]
        if self.adversary:
            for device in sorted(self.adversary.hostile):
                poisoned = self.adversary.poison(device, devices[device])
                devices[device] = poisoned.check(self.artifact.manifest)
        return Fleet(
            artifact=self.artifact,
            devices=devices,
            plan=replace(self.plan, seed=self.seed),
            algorithm=algorithms.get(self.plan.algorithm),
            trainer=trainer,
            adversary=self.adversary,
            uneven=self.uneven,
        )

    def _aggregation(self) -> Aggregation:
        strategy, algorithm = strategies.get(self.strategy), algorithms.get(self.plan.algorithm)
        algorithms.check(algorithm, strategy, self.plan)
        if needs_reference(strategy.rule) or needs_history(strategy.rule):
            raise ConfigError(
                f"strategy {self.strategy!r} needs more than a round's updates, which a federation "
                "in one process does not have"
            )
        trained = self.artifact.parameters[: self.artifact.n_trainable].copy()
        return Aggregation(
            artifact=self.artifact,
            strategy=strategy,
            algorithm=algorithm,
            plan=replace(self.plan, seed=self.seed),
            downlink_codec=self.downlink_codec,
            norm_bound=self.norm_bound,
            weight_bound=self.weight_bound,
            quarantine_after=self.quarantine_after,
            state=algorithm.init(strategy.init(trained)),
        )

    def _downlink(self) -> Downlink:
        return Downlink(
            codec=self.downlink_codec,
            n_trainable=self.artifact.n_trainable,
            seed=self.seed,
            held=self.artifact.parameters.copy(),
        )
