"""Combines the updates a round has accepted into the next parameters, and reports on it."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from fedge import codecs
from fedge.aggregator.models.model import Model, with_state
from fedge.aggregator.rounds.bounding import Bounds, Counted, bound_fields
from fedge.aggregator.rounds.context import Context
from fedge.aggregator.rounds.fleet_examples import FleetExamples
from fedge.aggregator.rounds.history import StoredHistory, next_history
from fedge.aggregator.rounds.judging import judge, quarantine_fields
from fedge.aggregator.rounds.merge import merge_deltas, merge_statistics
from fedge.aggregator.rounds.prepared import prepare
from fedge.aggregator.rounds.quarantine import Policy
from fedge.aggregator.rounds.updates import Updates
from fedge.aggregator.state.records import Learned, Member
from fedge.errors import PayloadError, TrainingError
from fedge.messages import RoundKind, StatisticsReport
from fedge.rounds import Round
from fedge.strategies import (
    Cohort,
    CohortError,
    State,
    Strategy,
    needs_history,
    needs_reference,
)
from fedge.strategies.algorithms import Algorithm, Occasion, Vectors
from fedge.strategies.rules.bound import EARLIER
from fedge.strategies.rules.hostile import too_few
from fedge.types import DeviceId, RoundId, Vector


@dataclass(frozen=True, slots=True)
class Combined:
    """What a round leads to.

    Attributes:
        parameters: of the next model.
        state: of strategy and algorithm, after the round.
        told: fields of the round's event.
        server: what devices need of the algorithm's vectors.
        learned: what it shows about its devices; a round of statistics shows nothing.
    """

    parameters: Vector
    state: State
    told: dict[str, Any]
    server: Vectors = field(default_factory=dict)
    learned: Learned = field(default_factory=Learned)


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
        cohort, decisions = self.on.store.cohort(round_.id), self.on.store.quarantine()
        out = {name for name, one in decisions.items() if one.is_out}
        if round_.kind == RoundKind.STATISTICS:
            told = quarantine_fields([decisions[one.device] for one in cohort if one.device in out])
            pooled = self._pool(before, [one for one in cohort if one.device not in out])
            return replace(pooled, told=pooled.told | told)
        updates = self._updates(cohort, out, before.state.parameters.size)
        combined = self._merge(before, updates.counted, round_)
        verdicts, told = judge(
            updates,
            decisions,
            round_.id,
            past=self.on.store,
            policy=Policy(
                after=self.on.config.quarantine_after,
                rounds=self.on.config.quarantine_rounds,
                least=self.strategy.rule.least,
            ),
            seed=self.on.config.seed,
        )
        learned = replace(combined.learned, verdicts=verdicts)
        return replace(combined, told=combined.told | told, learned=learned)

    def _merge(self, before: Model, counted: Counted, round_: Round) -> Combined:
        plan = self.on.config.plan()
        counted = prepare(counted, self.algorithm, plan, self.on.config.norm_bound)
        if self.algorithm.control is None:
            return self._step(before, counted, Occasion(plan=plan, fleet_examples=1), round_.id)
        total = self.fleet.total(counted.cohort, round_.expected | round_.accepted.keys())
        occasion = Occasion(plan=plan, fleet_examples=total, server=before.served.vectors)
        combined = self._step(before, counted, occasion, round_.id)
        return replace(combined, server=self.algorithm.server(combined.state, total))

    def _step(
        self, before: Model, counted: Counted, occasion: Occasion, round_: RoundId
    ) -> Combined:
        n, least = len(counted.cohort.members), self.strategy.rule.least
        if n < least:
            why = "no update could be counted" if n == 0 else too_few(n, least)
            return _unchanged(before, counted.told, why)

        def step(state: State, cohort: Cohort) -> State:
            return self.algorithm.step(self.strategy, state, cohort, occasion)

        try:
            known = self._known(counted.cohort, before, round_)
            state = merge_deltas(step, before.state, known)
        except CohortError as error:
            return _unchanged(before, counted.told, str(error))
        except TrainingError as error:
            return _unchanged(before, counted.told, f"on the trusted data {error}")
        if state is None:
            return _unchanged(before, counted.told, "the next model would not be finite")
        history = () if known.history is None else next_history(known, self.on.store)
        after = with_state(before.parameters, state)
        return Combined(after, state, counted.told, learned=Learned(history=history))

    def _known(self, cohort: Cohort, before: Model, round_: RoundId) -> Cohort:
        """The cohort with what its rule needs besides deltas."""
        rule, reference, history = self.strategy.rule, None, None
        if needs_reference(rule) and self.on.trusted is not None:
            reference = self.on.trusted.delta(before.held, self.on.config.plan(), round_)
        if needs_history(rule):
            devices = [member.device for member in cohort.members]
            history = StoredHistory(self.on.store, devices, cohort.deltas.n_params)
        return replace(cohort, reference=reference, history=history)

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

    def _updates(self, cohort: list[Member], out: Collection[DeviceId], n_params: int) -> Updates:
        """Those that count, bounded, and those of devices in quarantine.

        Norms of updates accepted by an earlier process are computed again from their bytes.
        """
        unseen = [member for member in cohort if member.key not in self.norms]
        for member, payload in zip(unseen, self.on.store.payloads(unseen), strict=True):
            self.norms[member.key] = codecs.decode(payload).norm
        everyone = [(one, self.norms[one.key]) for one in cohort]
        return Updates.of(everyone, out, self._bounds(), self.on.store.payloads, n_params=n_params)

    def _bounds(self) -> Bounds:
        return Bounds(
            norm=self.on.config.norm_bound,
            weight=self.on.config.weight_bound,
            norms=self.on.store.medians("norm", EARLIER),
            examples=self.on.store.medians("examples", EARLIER),
        )


def _unchanged(before: Model, told: dict[str, Any], why: str) -> Combined:
    note = f"{why}: the model stays as it was"
    return Combined(before.parameters, before.state, {**told, "note": note})
