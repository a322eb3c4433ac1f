"""Combines the updates a round has accepted into the next parameters, and reports on it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from fedge import codecs
from fedge.aggregator.models.model import Model, with_state
from fedge.aggregator.rounds.bounding import Bounds, Counted, bound_cohort, bound_fields
from fedge.aggregator.rounds.context import Context
from fedge.aggregator.rounds.fleet_examples import FleetExamples
from fedge.aggregator.rounds.merge import merge_deltas, merge_statistics
from fedge.aggregator.rounds.prepared import prepare
from fedge.aggregator.state.records import Member
from fedge.errors import PayloadError
from fedge.messages import RoundKind, StatisticsReport
from fedge.rounds import Round
from fedge.strategies import Cohort, PayloadDeltas, State, Strategy
from fedge.strategies import Member as CohortMember
from fedge.strategies.algorithms import Algorithm, Occasion, Vectors
from fedge.strategies.rules.bound import EARLIER
from fedge.types import DeviceId, RoundId, Vector


@dataclass(frozen=True, slots=True)
class Combined:
    """A round's result.

    Attributes:
        parameters: of the next model.
        state: of strategy and algorithm after the round.
        told: fields of the round's event.
        server: what devices need of the algorithm's vectors.
    """

    parameters: Vector
    state: State
    told: dict[str, Any]
    server: Vectors = field(default_factory=dict)


@dataclass(slots=True)
class Combiner:
    """Makes models from cohorts.

    Attributes:
        norms: of the updates this process has checked itself.
    """

    on: Context
    strategy: Strategy
    algorithm: Algorithm
    norms: dict[tuple[DeviceId, RoundId], float] = field(default_factory=dict)
    fleet: FleetExamples = field(init=False)

    def __post_init__(self) -> None:
        self.fleet = FleetExamples(self.on.store)

    def combine(self, before: Model, round_: Round) -> Combined:
        """The model after a round that starts from the one before."""
        cohort = self.on.store.cohort(round_.id)
        if round_.kind == RoundKind.STATISTICS:
            return self._pool(before, cohort)
        plan = self.on.config.plan()
        counted = self._bound(cohort, before.state.parameters.size)
        counted = prepare(counted, self.algorithm, plan, self.on.config.norm_bound)
        if self.algorithm.control is None:
            return self._step(before, counted, Occasion(plan=plan, fleet_examples=1))
        total = self.fleet.total(counted.cohort, round_.expected | round_.accepted.keys())
        occasion = Occasion(plan=plan, fleet_examples=total, server=before.served.vectors)
        combined = self._step(before, counted, occasion)
        return replace(combined, server=self.algorithm.server(combined.state, total))

    def _step(self, before: Model, counted: Counted, occasion: Occasion) -> Combined:
        n, least = len(counted.cohort.members), self.strategy.rule.least
        if n < least:
            why = "no update could be counted" if n == 0 else _too_few(n, least)
            return _unchanged(before, counted.told, why)

        def step(state: State, cohort: Cohort) -> State:
            return self.algorithm.step(self.strategy, state, cohort, occasion)

        state = merge_deltas(step, before.state, counted.cohort)
        if state is None:
            return _unchanged(before, counted.told, "the next model would not be finite")
        return Combined(with_state(before.parameters, state), state, counted.told)

    def _pool(self, before: Model, cohort: list[Member]) -> Combined:
        """A round of statistics.

        Reports are checked before they are accepted, but another release may have accepted one
        that this release refuses.
        """
        devices, payloads, dropped = [], [], []
        for member, payload in zip(cohort, self.on.store.payloads(cohort), strict=True):
            try:
                StatisticsReport.from_bytes(payload, self.on.artifact.manifest)
            except PayloadError as error:
                dropped.append({"device": member.device, "reason": str(error)})
            else:
                devices.append(member.device)
                payloads.append(payload)
        if not devices:
            told = bound_fields(dropped=dropped)
            return _unchanged(before, told, "no report could be counted")
        after, scaled_down = merge_statistics(payloads, self.on.artifact, before.parameters)
        clipped = [{"device": devices[place]} for place in scaled_down]
        return Combined(after, before.state, bound_fields(dropped=dropped, clipped=clipped))

    def _bound(self, cohort: list[Member], n_params: int) -> Counted:
        """Norms of updates accepted by an earlier process are computed again from their bytes."""
        unseen = [member for member in cohort if member.key not in self.norms]
        for member, payload in zip(unseen, self.on.store.payloads(unseen), strict=True):
            self.norms[member.key] = codecs.decode(payload).norm
        norms = [self.norms[member.key] for member in cohort]
        bounds = Bounds(
            norm=self.on.config.norm_bound,
            weight=self.on.config.weight_bound,
            norms=self.on.store.medians("norm", EARLIER),
            examples=self.on.store.medians("examples", EARLIER),
        )
        return bound_cohort(self._stored(cohort, norms, n_params), norms, bounds)

    def _stored(self, cohort: list[Member], norms: list[float], n_params: int) -> Cohort:
        """The cohort as a rule sees it."""

        def read(places: Iterable[int]) -> Iterator[bytes]:
            return self.on.store.payloads(cohort[place] for place in places)

        members = tuple(
            CohortMember(
                device=one.device,
                round=one.round,
                n_examples=one.n_examples,
                n_steps=one.n_steps,
                loss=one.loss,
                norm=norm,
            )
            for one, norm in zip(cohort, norms, strict=True)
        )
        return Cohort(members, PayloadDeltas(n_params=n_params, n_members=len(cohort), read=read))


def _too_few(n: int, least: int) -> str:
    return f"{n} updates could be counted and the rule needs {least}"


def _unchanged(before: Model, told: dict[str, Any], why: str) -> Combined:
    note = f"{why}: the model stays as it was"
    return Combined(before.parameters, before.state, {**told, "note": note})
