"""The aggregator's half of a round, by the aggregator's own functions."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fedge.aggregator.reception.validation import Checked, RefusedError, check_update
from fedge.aggregator.rounds.bounding import Bounds, bound_cohort
from fedge.artifact import Artifact
from fedge.bench.federation.fleet import Sent, name_of
from fedge.config.aggregator import AggregatorConfig
from fedge.messages import RoundKind
from fedge.setting import default_of
from fedge.strategies import Cohort, Member, PayloadDeltas, State, Strategy
from fedge.strategies.algorithms import Algorithm, Occasion, Vectors
from fedge.strategies.rules.bound import EARLIER
from fedge.training import Plan
from fedge.types import RoundId

MAX_EXAMPLES: int = default_of(AggregatorConfig, "max_examples")


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What became of a round's updates.

    Attributes:
        refused: that the checks on arrival refused.
        dropped, clipped: how many of the others were left out, or shortened.
    """

    refused: tuple[Sent, ...]
    dropped: int
    clipped: int


@dataclass(slots=True, kw_only=True)
class Aggregation:
    """The strategy's state from round to round.

    Attributes:
        fleet_examples: of all devices together.
        server: the algorithm's vectors that devices need.
    """

    artifact: Artifact
    strategy: Strategy
    algorithm: Algorithm
    plan: Plan
    fleet_examples: int
    norm_bound: float | None
    weight_bound: float | None
    state: State
    server: Vectors = field(default_factory=dict)
    _medians: list[float] = field(default_factory=list)
    _examples: list[int] = field(default_factory=list)

    def close(self, round_: int, sent: Sequence[Sent]) -> Closed:
        """Check, bound and combine a round's updates, given in the order of devices.

        The model stays as it was if too few updates count, or if it would not be finite.
        """
        accepted, refused = [], []
        for one in sent:
            try:
                accepted.append((one, self._check(round_, one)))
            except RefusedError:
                refused.append(one)
        told = self._combine(round_, accepted) if accepted else {}
        return Closed(
            refused=tuple(refused),
            dropped=told.get("devices_dropped", 0),
            clipped=told.get("devices_clipped", 0),
        )

    def _check(self, round_: int, sent: Sent) -> Checked:
        return check_update(
            sent.payload,
            self.artifact,
            RoundId(round_),
            RoundKind.TRAINING,
            max_examples=MAX_EXAMPLES,
        )

    def _combine(self, round_: int, accepted: Sequence[tuple[Sent, Checked]]) -> dict[str, Any]:
        cohort = self.algorithm.prepare(self._cohort(round_, accepted), self.plan)
        norms = [member.norm or 0.0 for member in cohort.members]
        counted = bound_cohort(cohort, norms, self._bounds())
        if (median := counted.told["norm_median"]) is not None:
            self._medians.append(median)
        if (examples := counted.told["examples_median"]) is not None:
            self._examples.append(examples)
        if len(counted.cohort.members) >= self.strategy.rule.least:
            self._step(counted.cohort)
        return counted.told

    def _step(self, cohort: Cohort) -> None:
        occasion = Occasion(plan=self.plan, fleet_examples=self.fleet_examples, server=self.server)
        with np.errstate(over="ignore", invalid="ignore"):
            after = self.algorithm.step(self.strategy, self.state, cohort, occasion)
        if all(np.isfinite(one).all() for one in (after.parameters, *after.memory.values())):
            self.state = after
            self.server = self.algorithm.server(after, self.fleet_examples)

    def _bounds(self) -> Bounds:
        return Bounds(
            norm=self.norm_bound,
            weight=self.weight_bound,
            norms=self._medians[-EARLIER:],
            examples=self._examples[-EARLIER:],
        )

    def _cohort(self, round_: int, accepted: Sequence[tuple[Sent, Checked]]) -> Cohort:
        payloads = [sent.payload for sent, _ in accepted]

        def read(places: Iterable[int]) -> Iterator[bytes]:
            return (payloads[place] for place in places)

        members = tuple(
            Member(
                device=name_of(sent.device),
                round=RoundId(round_),
                n_examples=checked.n_examples,
                n_steps=sent.n_steps,
                loss=sent.loss,
                norm=checked.norm,
            )
            for sent, checked in accepted
        )
        n_params = self.artifact.n_trainable
        return Cohort(members, PayloadDeltas(n_params=n_params, n_members=len(payloads), read=read))
