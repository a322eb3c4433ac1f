"""One job from round to round: which round is open, what comes next, when it is finished."""

from dataclasses import replace
from typing import Any

from fedge import codecs, strategies
from fedge.aggregator.models.broadcast import Broadcaster
from fedge.aggregator.models.catch_up import KEPT, bundles
from fedge.aggregator.models.model import load_model
from fedge.aggregator.models.retention import forget_models
from fedge.aggregator.rounds import changes
from fedge.aggregator.rounds.answers import Answers
from fedge.aggregator.rounds.closing import make_next
from fedge.aggregator.rounds.combine import Combiner
from fedge.aggregator.rounds.context import Context
from fedge.aggregator.rounds.current import Current
from fedge.aggregator.rounds.summary import round_event
from fedge.aggregator.state.records import RoundRecord, Tally
from fedge.messages import RoundKind, RoundManifest, RoundState, ServerRef
from fedge.rounds import Round
from fedge.strategies import algorithms
from fedge.training.statistics import federated
from fedge.types import DeviceId, JobId, RoundId

_MOST_UNSETTLED = 64  # how many rounds without a model, in a row, are looked back on


class Job:
    """The rounds of one state directory, from where the last process left them.

    Round numbers only grow, and no number is given out twice: neither when a round is tried
    again, nor after the state directory was restored from a backup. So the number alone shows
    that a device or a broker still holds something from an earlier round.

    Attributes:
        current: the open round, and the only way to change it.
        answers: which updates have been accepted.
        manifest: what devices were last told; None before the first round.
        last_number: the highest round number that was given out, with a model or without.
        sequence: the number of the last manifest.
        model: the global model that the open or the next round starts from.
        bundles: differences that lead to it from the models of earlier rounds.
        changes: how the settings differ from those the open round was opened with, as text.
        combiner: makes the models.
    """

    def __init__(self, context: Context) -> None:
        self._on = context
        self._config, self._store = context.config, context.store
        strategy, n_trainable = strategies.get(self._config.strategy), context.artifact.n_trainable
        self._broadcaster = Broadcaster(codecs.get(self._config.downlink_codec), n_trainable)
        self.model = load_model(
            context.folder,
            self._store.latest_model(),
            n_trainable,
            strategy,
            self._config.strategy,
            algorithm=self._config.algorithm,
        )
        self.bundles = bundles(self._store.broadcasts(KEPT), self.model.size_bytes)
        self.current = Current(self._store)
        self.answers = Answers(self._store, self.current)
        self.manifest: RoundManifest | None = None
        self._algorithm = algorithms.get(self._config.algorithm)
        self.combiner = Combiner(context, strategy, self._algorithm)
        self._opened_at = ""
        self.changes = ""
        self._n_trained = self._store.n_trained()
        job = self._store.job()
        self.last_number = job.last_number if job else -1
        self.sequence = job.sequence if job else -1
        self._restore()

    @property
    def round(self) -> Round | None:
        """The open round, or None between rounds; for reading only."""
        return self.current.round

    @property
    def id(self) -> JobId:
        return JobId(self._config.job)

    @property
    def run(self) -> bytes:
        """Drawn when the state directory was created: no other job of this name has it."""
        return self._on.run

    @property
    def last_round(self) -> RoundId | None:
        """The last round that made a model."""
        return self.model.record.round

    @property
    def unsettled(self) -> range:
        """The last round that made a model, and all since: their answers may have been lost."""
        first = 0 if self.last_round is None else self.last_round
        return range(first, self.last_number + 1)[-_MOST_UNSETTLED:]

    @property
    def is_finished(self) -> bool:
        """Whether no round is left to run."""
        record, target = self.model.record, self._config.target_accuracy
        if self.round is not None or not self._n_trained:
            return False
        is_good = target is not None and record.accuracy is not None and record.accuracy >= target
        return is_good or self._n_trained >= self._config.rounds

    def open(self, expected: frozenset[DeviceId]) -> RoundManifest:
        """Begin the next round with these devices; durable on return."""
        round_, kind = self._next()
        manifest = self._manifest(round_, kind, RoundState.OPEN)
        record = RoundRecord(
            round=round_,
            kind=kind.value,
            manifest=manifest.to_bytes(),
            expected=expected,
            quorum=self._config.quorum,
            opened_at=self._on.clock.timestamp(),
        )
        self._store.open_round(record, manifest.sequence)
        self.last_number = round_
        self._resume(record, {})
        return manifest

    def close(self, round_: Round, tally: Tally, *, n_late: int) -> dict[str, Any]:
        """Make the next model from the round's updates; durable on return.

        Returns:
            The round's event.
        """
        made = make_next(self._on, self.combiner, self._broadcaster, self.model, round_)
        wall_s = self._on.clock.since_s(self._opened_at)
        report = {
            **round_event(self._on, round_, made.model.record, tally),
            "devices_late": n_late,
            "wall_s": round(wall_s, 3),
            **made.told,
        }
        self._store.close_round(
            made.model.record, report, tally, broadcast=made.broadcast, keep_broadcasts=KEPT
        )
        forget_models(self._store, self._on.folder, self._config.keep_models)
        self.model = made.model
        self.bundles = bundles(self._store.broadcasts(KEPT), self.model.size_bytes)
        self.answers.keep_only(round_.id, round_.accepted)
        self.current.end()
        self.combiner.norms.clear()
        self._n_trained += round_.kind == RoundKind.TRAINING
        return report

    def give_up(self, round_: Round) -> None:
        """End a round that cannot close; the updates it has accepted go to the next one."""
        self._store.give_up_round(round_.id)
        self.answers.keep(round_.id, round_.accepted)
        self.current.end()

    def leap(self, number: int, sequence: int) -> bool:
        """Skip numbers that devices know and this directory does not.

        Args:
            number: the highest round that was given out.
            sequence: the highest of a manifest.

        Returns:
            Whether there were any: then the directory was restored to an older state.
        """
        if sequence <= self.sequence:
            return False
        self._store.leap(sequence, number)
        self.sequence, self.last_number = sequence, max(self.last_number, number)
        if self.round is not None and self.round.id <= number:
            self.give_up(self.round)
        elif self.round is not None:
            self._reopen(self.round)
        return True

    def spend(self, spent_s: float) -> None:
        """Store how much of the open round's deadline has passed."""
        if self.round is not None:
            self._store.spend(self.round.id, spent_s)

    def between(self) -> RoundManifest:
        """What devices are told while no round is open: wait, or that the job is finished."""
        state = RoundState.FINISHED if self.is_finished else RoundState.CLOSED
        kind = RoundKind.TRAINING if self.last_round else RoundKind.STATISTICS
        self.manifest = self._manifest(RoundId(self.last_round or 0), kind, state)
        self._store.keep_sequence(self.manifest.sequence)
        return self.manifest

    def _restore(self) -> None:
        record, taken = self._store.current_round(), self._store.taken()
        accepted = {} if record is None else taken.pop(record.round, {})
        for round_, nonces in taken.items():
            self.answers.keep(round_, nonces)
        if record is None:
            return
        manifest = self._resume(record, accepted)
        self.changes = changes.describe(manifest, record.quorum, self._config)
        if self.round is not None and changes.is_outdated(manifest, self._config):
            self._reopen(self.round)

    def _resume(self, record: RoundRecord, accepted: dict[DeviceId, bytes]) -> RoundManifest:
        self.manifest = manifest = RoundManifest.from_bytes(record.manifest)
        self._opened_at = record.opened_at
        self.current.begin(
            replace(record, quorum=self._config.quorum),
            accepted,
            deadline_s=self._config.deadline_s,
            now_s=self._on.clock.monotonic(),
        )
        return manifest

    def _reopen(self, round_: Round) -> None:
        """Give the open round a new manifest: with today's settings, newer than all others."""
        self.manifest = manifest = self._manifest(
            round_.id, RoundKind(round_.kind), RoundState.OPEN
        )
        self._store.reopen_round(manifest.round, manifest.to_bytes(), manifest.sequence)

    def _server(self) -> ServerRef | None:
        """Where the algorithm stands, if it keeps vectors on both ends."""
        if self._algorithm.control is None:
            return None
        return ServerRef(self.model.since, self.model.served.ref)

    def _next(self) -> tuple[RoundId, RoundKind]:
        if self.last_round is None and federated(self._on.artifact.manifest):
            return RoundId(self.last_number + 1), RoundKind.STATISTICS
        return RoundId(max(self.last_number + 1, 1)), RoundKind.TRAINING

    def _manifest(self, round_: RoundId, kind: RoundKind, state: RoundState) -> RoundManifest:
        self.sequence += 1
        return RoundManifest(
            job=self.id,
            run=self.run,
            round=round_,
            sequence=self.sequence,
            kind=kind,
            state=state,
            artifact=self._on.artifact_ref,
            model=self.model.ref,
            catch_up=tuple(bundle.entry for bundle in self.bundles),
            plan=self._config.plan(),
            deadline_s=self._config.deadline_s,
            parts=self._config.parts,
            wants_facts=kind is RoundKind.TRAINING,
            server=self._server(),
        )
