"""The aggregator's half of a round, by the aggregator's own functions."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fedge.aggregator.models.vectors import Served, serve
from fedge.aggregator.reception.validation import Checked, RefusedError, check_update
from fedge.aggregator.rounds.bounding import Bounds
from fedge.aggregator.rounds.fleet_examples import FleetExamples
from fedge.aggregator.rounds.judging import judge
from fedge.aggregator.rounds.merge import merge_deltas
from fedge.aggregator.rounds.prepared import prepare
from fedge.aggregator.rounds.quarantine import Policy
from fedge.aggregator.rounds.updates import Updates
from fedge.aggregator.state.records import Member
from fedge.artifact import Artifact
from fedge.bench.federation.fleet import Sent, name_of
from fedge.bench.federation.standing import Standing
from fedge.codecs import Stamp
from fedge.config.aggregator import AggregatorConfig
from fedge.messages import RoundKind
from fedge.setting import default_of
from fedge.strategies import Cohort, State, Strategy
from fedge.strategies.algorithms import Algorithm, Occasion
from fedge.strategies.rules import CohortError
from fedge.strategies.rules.bound import EARLIER
from fedge.training import Plan
from fedge.types import DeviceId, RoundId

MAX_EXAMPLES: int = default_of(AggregatorConfig, "max_examples")
QUARANTINE_ROUNDS: int = default_of(AggregatorConfig, "quarantine_rounds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What became of a round's updates.

    Attributes:
        refused: that the checks on arrival refused.
        dropped, clipped: how many of the others were left out, or shortened.
        quarantined: how many did not count because their device is in quarantine.
    """

    refused: tuple[Sent, ...]
    dropped: int
    clipped: int
    quarantined: int


class _NothingKnown:
    """A database before the first round."""

    def examples(self) -> dict[DeviceId, int]:
        return {}


@dataclass(slots=True, kw_only=True)
class Aggregation:
    """The strategy's state from round to round.

    Attributes:
        plan: of every round; its seed is the federation's.
        served: the algorithm's vectors that devices need.
    """

    artifact: Artifact
    strategy: Strategy
    algorithm: Algorithm
    plan: Plan
    downlink_codec: str
    norm_bound: float | None
    weight_bound: float | None
    quarantine_after: int | None
    state: State
    served: Served = field(default_factory=Served)
    _fleet: FleetExamples = field(default_factory=lambda: FleetExamples(_NothingKnown()))
    _standing: Standing = field(default_factory=Standing)
    _medians: list[float] = field(default_factory=list)
    _examples: list[int] = field(default_factory=list)

    def close(self, round_: int, asked: Sequence[int], sent: Sequence[Sent]) -> Closed:
        """Check, bound and combine what these devices sent, in the order of devices.

        The model stays as it was if the rule cannot work with the updates that count, such as too
        few, or if it would not be finite.
        """
        accepted, refused = [], []
        for one in sent:
            try:
                accepted.append((one, self._check(round_, one)))
            except RefusedError:
                refused.append(one)
        told = self._combine(round_, asked, accepted) if accepted else {}
        return Closed(
            refused=tuple(refused),
            dropped=told.get("devices_dropped", 0),
            clipped=told.get("devices_clipped", 0),
            quarantined=told.get("devices_quarantined", 0),
        )

    def _check(self, round_: int, sent: Sent) -> Checked:
        return check_update(
            sent.payload,
            self.artifact,
            RoundId(round_),
            RoundKind.TRAINING,
            max_examples=MAX_EXAMPLES,
        )

    def _combine(
        self, round_: int, asked: Sequence[int], accepted: Sequence[tuple[Sent, Checked]]
    ) -> dict[str, Any]:
        decisions = self._standing.quarantine()
        out = {name for name, one in decisions.items() if one.is_out}
        updates = self._updates(round_, accepted, out)
        verdicts, judged = judge(
            updates,
            decisions,
            RoundId(round_),
            past=self._standing,
            policy=Policy(
                after=self.quarantine_after,
                rounds=QUARANTINE_ROUNDS,
                least=self.strategy.rule.least,
            ),
            seed=self.plan.seed,
        )
        self._standing.keep(verdicts)
        counted = prepare(updates.counted, self.algorithm, self.plan, self.norm_bound)
        for earlier, name in ((self._medians, "norm_median"), (self._examples, "examples_median")):
            if (median := counted.told[name]) is not None:
                earlier.append(median)
        if len(counted.cohort.members) >= self.strategy.rule.least:
            self._step(round_, asked, counted.cohort)
        return counted.told | judged

    def _step(self, round_: int, asked: Sequence[int], cohort: Cohort) -> None:
        names = map(name_of, asked)
        total = self._fleet.total(cohort, names) if self.algorithm.control else 1
        occasion = Occasion(plan=self.plan, fleet_examples=total, server=self.served.vectors)

        def step(state: State, cohort: Cohort) -> State:
            return self.algorithm.step(self.strategy, state, cohort, occasion)

        try:
            self.state = merge_deltas(step, self.state, cohort) or self.state
        except CohortError:
            return
        stamp = Stamp(schema=self.artifact.schema[:4], round=round_)
        vectors = self.algorithm.server(self.state, total)
        self.served = serve(vectors, self.downlink_codec, stamp, self.plan.seed)

    def _bounds(self) -> Bounds:
        return Bounds(
            norm=self.norm_bound,
            weight=self.weight_bound,
            norms=self._medians[-EARLIER:],
            examples=self._examples[-EARLIER:],
        )

    def _updates(
        self,
        round_: int,
        accepted: Sequence[tuple[Sent, Checked]],
        out: Collection[DeviceId],
    ) -> Updates:
        everyone = [
            (
                Member(
                    name_of(sent.device),
                    RoundId(round_),
                    checked.n_examples,
                    start=place,
                    n_steps=sent.n_steps,
                    loss=sent.loss,
                ),
                checked.norm or 0.0,
            )
            for place, (sent, checked) in enumerate(accepted)
        ]

        def read(members: Iterable[Member]) -> Iterator[bytes]:
            return (accepted[member.start][0].payload for member in members)

        n_params = self.artifact.n_trainable
        return Updates.of(everyone, out, self._bounds(), read, n_params=n_params)
