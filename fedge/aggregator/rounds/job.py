"""One job from round to round: what is open, what comes next, when it is done."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fedge import codecs, strategies
from fedge.aggregator.models.broadcast import Broadcast, Broadcaster
from fedge.aggregator.models.catch_up import KEPT, bundles
from fedge.aggregator.models.model import Model, keep, load_model
from fedge.aggregator.models.retention import forget_models
from fedge.aggregator.rounds import changes
from fedge.aggregator.rounds.combine import Combiner
from fedge.aggregator.rounds.context import Context
from fedge.aggregator.rounds.summary import round_event
from fedge.aggregator.state.records import ModelRecord, RoundRecord, Tally, UpdateRecord
from fedge.codecs import Stamp
from fedge.messages import RoundKind, RoundManifest, RoundState
from fedge.rounds import Round, Verdict
from fedge.training.statistics import federated
from fedge.types import DeviceId, JobId, RoundId, Vector

_MOST_UNSETTLED = 64  # rounds given up in a row that are looked back on
_LEAST_S = 5.0  # for devices to send again what was under way when the process before ended

_Transition = tuple[Callable[..., object], tuple[Any, ...], Callable[[], None] | None]


class Job:
    """The rounds of one state directory, from where the last process left them.

    Round numbers only grow, and no number is given out twice: not to a round that is tried
    again, nor after the state directory was put back. So whatever a device or a broker still
    holds of an earlier round says so by its number.

    It alone writes the open round. What messages say of it waits for `commit`, which makes the
    updates among them durable and only then lets the round take all of it, in the order it came:
    the round never counts what is not on the disk. `judge` knows at once what waits.

    Attributes:
        manifest: what devices were last told; None before the first round.
        last_number: the highest round that was given out, with a model or without.
        sequence: of the last manifest that was made.
        model: the global model that the open or the next round starts from.
        bundles: ways to it from the models of earlier rounds.
        changes: what the settings have changed in the open round since it was opened, as text.
        combiner: makes the models.
    """

    def __init__(self, context: Context) -> None:
        self._on = context
        self._config, self._store = context.config, context.store
        self._strategy = strategies.get(self._config.strategy)
        self._broadcaster = Broadcaster(
            codecs.get(self._config.downlink_codec), context.artifact.n_trainable
        )
        self.model = self._load(self._store.latest_model())
        self.bundles = bundles(self._store.broadcasts(KEPT), self.model.size_bytes)
        self._round: Round | None = None
        self._pending: dict[DeviceId, UpdateRecord] = {}
        self._transitions: list[_Transition] = []
        # Of rounds that were given up since the last model, and of the round that made it: whoever
        # asks for another round is rare enough to have the database asked.
        self._nonces: dict[RoundId, Mapping[DeviceId, bytes]] = {}
        self.manifest: RoundManifest | None = None
        self.combiner = Combiner(context, self._strategy)
        self._opened_at = ""
        self.changes = ""
        self._n_trained = self._store.n_trained()
        job = self._store.job()
        self.last_number = job.last_number if job else -1
        self.sequence = job.sequence if job else -1
        self._restore()

    @property
    def round(self) -> Round | None:
        """The open round, or None between two; to be looked at only."""
        return self._round

    @property
    def has_pending(self) -> bool:
        """Whether updates wait for `commit`."""
        return bool(self._pending)

    @property
    def id(self) -> JobId:
        return JobId(self._config.job)

    @property
    def run(self) -> bytes:
        """Drawn when the state directory was begun: under the same name nothing else has it."""
        return self._on.run

    @property
    def last_round(self) -> RoundId | None:
        """The last round that made a model."""
        return self.model.record.round

    @property
    def _last_made(self) -> int:
        return -1 if self.last_round is None else self.last_round

    @property
    def unsettled(self) -> range:
        """The last round that made a model, and all since: their answers may have been lost."""
        return range(max(self._last_made, 0), self.last_number + 1)[-_MOST_UNSETTLED:]

    @property
    def is_finished(self) -> bool:
        """Whether no round is left to run."""
        record, target = self.model.record, self._config.target_accuracy
        if self._round is not None or not self._n_trained:
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

    def receive(self, update: UpdateRecord) -> None:
        """Take an update that `judge` calls accepted: it is, after the next commit."""
        self._pending[update.device] = update
        self._note(Round.receive, update.device, update.round, update.nonce)

    def join(self, device: DeviceId) -> None:
        """A device gives a sign of life."""
        self._note(Round.join, device)

    def appear(self, device: DeviceId) -> None:
        """A device has come."""
        self._note(Round.appear, device)

    def skip(
        self, device: DeviceId, why: str, now_s: float, *, tell: Callable[[], None] | None = None
    ) -> None:
        """A device cannot do the open round; `tell` is called if that is news."""
        self._note(Round.skip, device, why, now_s, tell=tell)

    def leave(self, device: DeviceId, now_s: float, *, tell: Callable[[], None]) -> None:
        """A device has gone; `tell` is called if it was waited for."""
        self._note(Round.leave, device, now_s, tell=tell)

    def refuse(self, device: DeviceId, why: str) -> None:
        """A device's update of the open round was refused for good."""
        self._note(Round.refuse, device, why)

    def postpone(self, seconds: float) -> None:
        """Nobody could answer for so long."""
        self._note(Round.postpone, seconds)

    def commit(self, tally: Tally | None) -> list[UpdateRecord]:
        """Let the open round take what has come since the last commit.

        Args:
            tally: what was counted since, to be kept too; needed if `has_pending`.

        Returns:
            The updates, which are accepted and durable now.
        """
        updates = list(self._pending.values())
        if tally is not None:
            self._store.accept(updates, tally)
        self._pending.clear()
        transitions, self._transitions = self._transitions, []
        for transition, arguments, tell in transitions:
            if transition(self._round, *arguments) and tell is not None:
                tell()
        return updates

    def hasten(self, deadline_s: float) -> None:
        """The open round's deadline comes no later than this."""
        if self._round is not None:
            self._round.hasten(deadline_s)

    def lose(self, devices: Iterable[DeviceId]) -> None:
        """The open round waits no more for these, which have been silent for too long."""
        for device in devices:
            if self._round is not None:
                self._round.give_up(device)

    def give_up(self, round_: Round) -> None:
        """End a round that cannot end otherwise; the next one takes what it has accepted."""
        self._store.give_up_round(round_.id)
        self._nonces[round_.id] = round_.accepted
        self._round = None

    def leap(self, number: int, sequence: int) -> bool:
        """Devices know of numbers that this directory does not; whether it was put back, then.

        Args:
            number: the highest round that was given out.
            sequence: the highest of a manifest.
        """
        if sequence <= self.sequence:
            return False
        self._store.leap(sequence, number)
        self.sequence, self.last_number = sequence, max(self.last_number, number)
        if self._round is not None and self._round.id <= number:
            self.give_up(self._round)
        elif self._round is not None:
            self._reopen()
        return True

    def spend(self, spent_s: float) -> None:
        """Keep how much of the open round's deadline has passed."""
        if self._round is not None:
            self._store.spend(self._round.id, spent_s)

    def judge(self, device: DeviceId, round_: RoundId, nonce: bytes) -> Verdict:
        """What an update is to be told before anybody looks at its bytes."""
        if self._round is not None and round_ >= self._round.id:
            waiting = self._pending.get(device)
            if waiting is None or waiting.round != round_:
                return self._round.judge(device, round_, nonce)
            return Verdict.REPEATED if waiting.nonce == nonce else Verdict.SECOND
        here = self._nonces.get(round_)
        known = self._store.nonce(round_, device) if here is None else here.get(device)
        if known is None:
            return Verdict.LATE if round_ <= self.last_number else Verdict.UNKNOWN
        return Verdict.REPEATED if known == nonce else Verdict.SECOND

    def accepted(self, round_: RoundId) -> Mapping[DeviceId, bytes]:
        """Nonces of all accepted updates of a round, open or over."""
        if self._round is not None and round_ == self._round.id:
            return self._round.accepted
        here = self._nonces.get(round_)
        return self._store.applied(round_) if here is None else here

    def last_accepted(self, device: DeviceId, rounds: range) -> tuple[RoundId, bytes] | None:
        """The last of these rounds that has accepted an update of the device, and its nonce."""
        own = {} if self._round is None else {self._round.id: self._round.accepted}
        here = {**self._nonces, **own}  # all of them later than what the database has beside them
        for round_ in sorted(here, reverse=True):
            if round_ in rounds and device in here[round_]:
                return round_, here[round_][device]
        return self._store.last_nonce(device, rounds)

    def close(self, round_: Round, tally: Tally, *, n_late: int) -> dict[str, Any]:
        """Make the next model of the round's updates; durable on return.

        Returns:
            The round's event.
        """
        combined = self.combiner.combine(self.model, round_)
        parameters, state = combined.parameters, combined.state
        loss, accuracy = (
            self._on.evaluator.evaluate(parameters) if self._on.evaluator else (None, None)
        )
        broadcast = self._broadcast(round_, parameters)
        sha256, held, memory = keep(self._on.folder, parameters, broadcast, state)
        record = ModelRecord(
            version=self.model.record.version + 1,
            round=round_.id,
            parent=self.model.record.sha256,
            sha256=sha256,
            held=held,
            memory=memory,
            strategy=self._config.strategy,
            loss=loss,
            accuracy=accuracy,
        )
        wall_s = self._on.clock.since_s(self._opened_at)
        report = {
            **round_event(self._on, round_, record, tally),
            "devices_late": n_late,
            "wall_s": round(wall_s, 3),
            **combined.told,
        }
        self._store.close_round(
            record, report, tally, broadcast=broadcast.payload, keep_broadcasts=KEPT
        )
        forget_models(self._store, self._on.folder, self._config.keep_models)
        self.model = Model(record, parameters, broadcast.held, state)
        self.bundles = bundles(self._store.broadcasts(KEPT), self.model.size_bytes)
        self._nonces = {round_.id: round_.accepted}
        self._round = None
        self.combiner.norms.clear()
        self._n_trained += round_.kind == RoundKind.TRAINING
        return report

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
        self._nonces.update(taken)
        if record is None:
            return
        self._resume(record, accepted)
        manifest = RoundManifest.from_bytes(record.manifest)
        self.changes = changes.describe(manifest, record.quorum, self._config)
        if changes.is_outdated(manifest, self._config):
            self._reopen()

    def _reopen(self) -> None:
        """Give the open round a new manifest: by the settings of now, newer than all others."""
        assert self._round is not None  # noqa: S101 - the caller looked
        kind = RoundKind(self._round.kind)
        self.manifest = manifest = self._manifest(self._round.id, kind, RoundState.OPEN)
        self._store.reopen_round(manifest.round, manifest.to_bytes(), manifest.sequence)

    def _resume(self, record: RoundRecord, accepted: Mapping[DeviceId, bytes]) -> None:
        self.manifest = RoundManifest.from_bytes(record.manifest)
        self._opened_at = record.opened_at
        left_s = self._config.deadline_s - record.spent_s
        least_s = min(_LEAST_S, self._config.deadline_s) if record.spent_s else 0.0
        self._round = Round(
            id=record.round,
            kind=record.kind,
            expected=record.expected | accepted.keys(),
            accepted=accepted,
            quorum=self._config.quorum,
            deadline_s=self._on.clock.monotonic() + max(left_s, least_s),
        )

    def _note(
        self,
        transition: Callable[..., object],
        *arguments: object,
        tell: Callable[[], None] | None = None,
    ) -> None:
        if self._round is not None:
            self._transitions.append((transition, arguments, tell))

    def _load(self, record: ModelRecord) -> Model:
        n_trainable, spec = self._on.artifact.n_trainable, self._config.strategy
        return load_model(self._on.folder, record, n_trainable, self._strategy, spec)

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
        )

    def _broadcast(self, round_: Round, parameters: Vector) -> Broadcast:
        stamp = Stamp(schema=self._on.artifact.schema[:4], round=round_.id)
        return self._broadcaster.broadcast(parameters, self.model.held, stamp, self._config.seed)
