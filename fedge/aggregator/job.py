"""One job from round to round: what is open, what comes next, when it is done."""

from collections.abc import Mapping
from typing import Any

from fedge import codecs, strategies
from fedge.aggregator.bounding import Counted, bound_cohort, bound_fields
from fedge.aggregator.catch_up import bundles
from fedge.aggregator.downlink import Broadcast, Downlink
from fedge.aggregator.merge import merge_deltas, merge_statistics
from fedge.aggregator.model import Model, keep, load_model, with_state
from fedge.aggregator.outcome import round_event
from fedge.aggregator.premises import Premises
from fedge.aggregator.records import ModelRecord, RoundRecord, Tally
from fedge.codecs import Stamp
from fedge.messages import RoundKind, RoundManifest, RoundState
from fedge.rounds import Round, Verdict
from fedge.strategies import State
from fedge.strategies.bound import EARLIER
from fedge.training.statistics import federated
from fedge.types import DeviceId, JobId, RoundId, Vector


class Job:
    """The rounds of one state directory, from where the last process left them.

    Attributes:
        round: the open round, or None between two.
        manifest: what devices were last told; None before the first round.
        model: the global model that the open or the next round starts from.
        bundles: ways to it from the models of earlier rounds.
        norms: of the open round's updates, as far as this process has seen them.
    """

    def __init__(self, premises: Premises) -> None:
        self._on = premises
        self._config, self._store = premises.config, premises.store
        self._strategy = strategies.get(self._config.strategy)
        self._downlink = Downlink(
            codecs.get(self._config.downlink_codec), premises.artifact.n_trainable
        )
        self.model = self._load(self._store.latest_model())
        self.bundles = bundles(self._store.broadcasts(), self.model.size_bytes)
        self.round: Round | None = None
        self.manifest: RoundManifest | None = None
        self.norms: dict[DeviceId, float] = {}
        self._opened_at = ""
        self._restore()

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
    def is_finished(self) -> bool:
        """Whether no round is left to run."""
        record, target = self.model.record, self._config.target_accuracy
        if self.round is not None or not record.round:  # no training round yet
            return False
        is_good = target is not None and record.accuracy is not None and record.accuracy >= target
        return is_good or record.round >= self._config.rounds

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
        self._resume(record, {})
        return manifest

    def judge(self, device: DeviceId, round_: RoundId, nonce: bytes) -> Verdict:
        """What an update is to be told before anybody looks at its bytes."""
        if self.round is not None and round_ >= self.round.id:
            return self.round.judge(device, round_, nonce)
        if self.last_round is None or round_ > self.last_round:
            return Verdict.UNKNOWN
        known = self._store.nonce(round_, device)
        if known is None:
            return Verdict.LATE
        return Verdict.REPEATED if known == nonce else Verdict.SECOND

    def close(self, round_: Round, tally: Tally, *, n_late: int) -> dict[str, Any]:
        """Make the next model of the round's updates; durable on return.

        Returns:
            The round's event.
        """
        parameters, state, told = self._merge(round_)
        loss, accuracy = self._on.judge.evaluate(parameters) if self._on.judge else (None, None)
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
            **told,
        }
        self._store.close_round(record, report, tally, broadcast=broadcast.payload)
        self._on.folder.forget_held(record)
        self.model = Model(record, parameters, broadcast.held, state)
        self.bundles = bundles(self._store.broadcasts(), self.model.size_bytes)
        self.round = None
        return report

    def between(self) -> RoundManifest:
        """What devices are told while no round is open: wait, or that the job is finished."""
        state = RoundState.FINISHED if self.is_finished else RoundState.CLOSED
        kind = RoundKind.TRAINING if self.last_round else RoundKind.STATISTICS
        self.manifest = self._manifest(RoundId(self.last_round or 0), kind, state)
        self._store.keep_sequence(self.manifest.sequence)
        return self.manifest

    def _restore(self) -> None:
        record = self._store.current_round()
        if record is not None:
            self._resume(record, self._store.accepted(record.round))

    def _resume(self, record: RoundRecord, accepted: Mapping[DeviceId, bytes]) -> None:
        self.manifest = RoundManifest.from_bytes(record.manifest)
        self._opened_at = record.opened_at
        self.norms.clear()
        self.round = Round(
            id=record.round,
            kind=record.kind,
            expected=record.expected | accepted.keys(),
            accepted=accepted,
            quorum=record.quorum,
            deadline_s=self._on.clock.monotonic() + self.manifest.deadline_s,
        )

    def _load(self, record: ModelRecord) -> Model:
        n_trainable, spec = self._on.artifact.n_trainable, self._config.strategy
        return load_model(self._on.folder, record, n_trainable, self._strategy, spec)

    def _next(self) -> tuple[RoundId, RoundKind]:
        if self.last_round is not None:
            return RoundId(self.last_round + 1), RoundKind.TRAINING
        if federated(self._on.artifact.manifest):
            return RoundId(0), RoundKind.STATISTICS
        return RoundId(1), RoundKind.TRAINING

    def _manifest(self, round_: RoundId, kind: RoundKind, state: RoundState) -> RoundManifest:
        job = self._store.job()
        return RoundManifest(
            job=self.id,
            run=self.run,
            round=round_,
            sequence=job.sequence + 1 if job else 0,
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
        return self._downlink.broadcast(parameters, self.model.held, stamp, self._config.seed)

    def _merge(self, round_: Round) -> tuple[Vector, State, dict[str, Any]]:
        """Parameters and state after the round, and what else its event says."""
        before = self.model
        unchanged, told = (before.parameters, before.state), bound_fields()
        if round_.has_failed:
            note = "no device could do this round: the model stays as it was"
            return *unchanged, {**told, "note": note}
        cohort = self._store.cohort(round_.id)
        if round_.kind == RoundKind.STATISTICS:
            payloads = self._store.payloads(round_.id, [device for device, _ in cohort])
            after, drawn_in = merge_statistics(payloads, self._on.artifact, before.parameters)
            clipped = [{"device": cohort[place][0]} for place in drawn_in]
            return after, before.state, bound_fields(clipped=clipped)
        counted = self._bound(round_.id, cohort)
        if not counted.devices:
            note = "no update could be counted: the model stays as it was"
            return *unchanged, {**counted.told, "note": note}
        payloads = self._store.payloads(round_.id, counted.devices)
        state = merge_deltas(
            self._strategy, before.state, counted.n_examples, payloads, counted.shares
        )
        if state is None:
            note = "the next model would not be finite: the model stays as it was"
            return *unchanged, {**counted.told, "note": note}
        return with_state(before.parameters, state), state, counted.told

    def _bound(self, round_: RoundId, cohort: list[tuple[DeviceId, int]]) -> Counted:
        """Norms of updates that an earlier process accepted are taken again from their bytes."""
        unseen = [device for device, _ in cohort if device not in self.norms]
        payloads = self._store.payloads(round_, unseen)
        for device, payload in zip(unseen, payloads, strict=True):
            self.norms[device] = codecs.decode(payload).norm
        norms = [self.norms[device] for device, _ in cohort]
        return bound_cohort(cohort, norms, self._config.norm_bound, self._store.medians(EARLIER))
