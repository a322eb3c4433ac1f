"""Combines the updates a round has accepted into the next parameters, and reports on it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from fedge import codecs
from fedge.aggregator.models.model import Model, with_state
from fedge.aggregator.rounds.bounding import Counted, bound_cohort, bound_fields
from fedge.aggregator.rounds.context import Context
from fedge.aggregator.rounds.history import StoredHistory, next_history
from fedge.aggregator.rounds.merge import merge_deltas, merge_statistics
from fedge.aggregator.state.records import Member
from fedge.errors import PayloadError, TrainingError
from fedge.messages import RoundKind, StatisticsReport
from fedge.rounds import Round
from fedge.strategies import (
    Cohort,
    CohortError,
    PayloadDeltas,
    State,
    Strategy,
    needs_history,
    needs_reference,
)
from fedge.strategies import Member as CohortMember
from fedge.strategies.rules.bound import EARLIER
from fedge.strategies.rules.hostile import too_few
from fedge.types import DeviceId, RoundId, Vector


@dataclass(frozen=True, slots=True)
class Combined:
    """What a round leads to.

    Attributes:
        parameters: of the next model.
        state: the strategy's, after the round.
        told: fields of the round's event.
        history: sums of devices that have changed, for rules that need them; read it once.
    """

    parameters: Vector
    state: State
    told: dict[str, Any]
    history: Iterable[tuple[DeviceId, bytes]] = ()


@dataclass(slots=True)
class Combiner:
    """Makes models from cohorts.

    Attributes:
        norms: of the updates this process has checked itself.
    """

    on: Context
    strategy: Strategy
    norms: dict[tuple[DeviceId, RoundId], float] = field(default_factory=dict)

    def combine(self, before: Model, round_: Round) -> Combined:
        """The model after a round that starts from the one before."""
        cohort = self.on.store.cohort(round_.id)
        if round_.kind == RoundKind.STATISTICS:
            return self._pool(before, cohort)
        counted = self._bound(cohort, before.state.parameters.size)
        n, least = len(counted.cohort.members), self.strategy.rule.least
        if n < least:
            why = "no update could be counted" if n == 0 else too_few(n, least)
            return _unchanged(before, counted.told, why)
        try:
            known = self._known(counted.cohort, before, round_.id)
            state = merge_deltas(self.strategy, before.state, known)
        except CohortError as error:
            return _unchanged(before, counted.told, str(error))
        except TrainingError as error:
            return _unchanged(before, counted.told, f"on the trusted data {error}")
        if state is None:
            return _unchanged(before, counted.told, "the next model would not be finite")
        history = () if known.history is None else next_history(known, self.on.store)
        return Combined(with_state(before.parameters, state), state, counted.told, history)

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

    def _bound(self, cohort: list[Member], n_params: int) -> Counted:
        """Norms of updates accepted by an earlier process are computed again from their bytes."""
        unseen = [member for member in cohort if member.key not in self.norms]
        for member, payload in zip(unseen, self.on.store.payloads(unseen), strict=True):
            self.norms[member.key] = codecs.decode(payload).norm
        norms = [self.norms[member.key] for member in cohort]
        return bound_cohort(
            self._stored(cohort, norms, n_params),
            norms,
            self.on.config.norm_bound,
            self.on.store.medians(EARLIER),
        )

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


def _unchanged(before: Model, told: dict[str, Any], why: str) -> Combined:
    note = f"{why}: the model stays as it was"
    return Combined(before.parameters, before.state, {**told, "note": note})
