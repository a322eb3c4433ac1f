"""Rounds on a device: get what a round needs, train step by step, put the result in the outbox."""

from collections.abc import Generator
from dataclasses import replace

from fedge.artifact import Artifact
from fedge.device.downlink.model_sync import ModelSync
from fedge.device.downlink.vector_sync import VectorSync
from fedge.device.memory import making
from fedge.device.state.answers import Answer
from fedge.device.state.disk import check_artifact
from fedge.device.work.assignment import Assignment, Evaluated, Trained, assign, begin, evaluate
from fedge.device.work.learner import Learner
from fedge.device.work.phases import (
    Answered,
    Evaluating,
    Fetching,
    Finished,
    Idle,
    Phase,
    Training,
    next_phase,
)
from fedge.device.work.submission import submit_evaluation, submit_statistics, submit_update
from fedge.device.work.workbench import Workbench
from fedge.errors import ArtifactError, ConfigError, DataError, PayloadError, TrainingError
from fedge.logs import logger
from fedge.messages import BlobRef, Followed, RoundKind, RoundManifest, RoundState, Skipped
from fedge.training import StepReport
from fedge.types import RoundId

_log = logger(__name__)

# Anything that an artifact, a graph or a plan can cause: the device waits for the next round.
_SKIP = (ArtifactError, ConfigError, DataError, PayloadError, TrainingError, MemoryError)
_LOOK_S = 2.0  # between two checks for examples that are not there yet


class Worker:
    """One job's rounds, one at a time; a newer manifest ends the work on the one before.

    Attributes:
        phase: what it is doing.
        n_trained: rounds whose result went into the outbox.
        n_skipped: rounds that could not be done; the log says why.
        skipped: the current round, if it was skipped.
        is_ahead: whether the last manifest was older than one this device has already seen.
    """

    def __init__(self, workbench: Workbench) -> None:
        self.phase: Phase = Idle()
        self.n_trained = self.n_skipped = 0
        self.skipped: Skipped | None = None
        self._workbench = workbench
        self._run = workbench.outbox.run(workbench.job)
        self._sequence = workbench.outbox.sequence(workbench.job)
        self._round = RoundId(0)  # the highest announced so far
        self.is_ahead = False
        self._foreign = RoundId(-1)  # the last round that somebody else answered under this id
        self._answered = workbench.outbox.answered(workbench.job)
        self._learner: Learner | None = None
        self._models: ModelSync | None = None  # of the learner's artifact
        self._vectors = VectorSync()
        self._assignment: Assignment | None = None  # of the steps
        self._steps: Generator[StepReport | int, None, Trained | Evaluated] | None = None
        self._waiting: RoundManifest | None = None  # an open round that lacks examples
        self._looked_at_s = float("-inf")
        self._last_reason = ""  # why the last round was skipped
        self._skipped_round = RoundId(-1)
        self._is_whole_told = False  # that there are too few examples to hold any out

    @property
    def is_busy(self) -> bool:
        """Whether there is a local step to do."""
        return self._steps is not None

    @property
    def run(self) -> bytes | None:
        """The run of the job that this device takes part in."""
        return self._run

    @property
    def followed(self) -> Followed | None:
        """How far this device has come; None before the first round."""
        if self._run is None or self._sequence < 0:
            return None
        answered = -1 if self._answered is None else self._answered.round
        round_ = RoundId(max(answered, self._round))
        is_answered = (
            answered == round_
            and self.skipped is None
            and not self._workbench.outbox.holds(self._workbench.job, round_)
        )
        return Followed(self._run, round_, self._sequence, is_answered)

    def read(self, manifest: RoundManifest) -> None:
        """Act on a manifest of the job.

        A manifest older than what this device has already seen of the run is ignored: either the
        broker retained it, or the aggregator's state was restored from a backup. The aggregator
        learns from `followed` where the device is, and announces a newer one.
        """
        if manifest.run != self._run:
            self._enter(manifest.run)
        self.is_ahead = self._is_outdated(manifest)
        if self.is_ahead:
            _log.warning(
                "ignored a manifest of round %d with sequence %d: this device has seen round %d "
                "with sequence %d; waiting for a newer one",
                manifest.round, manifest.sequence, self._round, self._sequence,
            )  # fmt: skip
            return
        self._round = max(self._round, manifest.round)
        before, self._waiting = self.phase, None
        self.phase = next_phase(before, manifest, self._answered)
        self._sequence = manifest.sequence
        if isinstance(before, Training | Evaluating) and not isinstance(
            self.phase, Training | Evaluating
        ):
            self._abandon(before)
        if isinstance(self.phase, Fetching):
            self._prepare(manifest)
        elif not isinstance(self.phase, Training | Evaluating):
            self._workbench.fetcher.want(())
        if isinstance(self.phase, Finished) and not isinstance(before, Finished):
            _log.info("the job is finished after round %d", manifest.round)

    def _is_outdated(self, manifest: RoundManifest) -> bool:
        if manifest.sequence < self._sequence:
            return True
        is_open = manifest.state is RoundState.OPEN
        return is_open and self._answered is not None and manifest.round < self._answered.round

    def compare(self, accepted: RoundId) -> None:
        """The aggregator has an update of this device for this round: did this process send it?

        Before an update is sent, its round is stored on this disk. So an update later than the
        last stored round came from another process, or from before this disk was restored.
        """
        own = RoundId(-1) if self._answered is None else self._answered.round
        if accepted <= max(own, self._foreign):
            return
        self._foreign = accepted
        self._workbench.outbox.forget(self._workbench.job)
        self._workbench.sender.forget()
        _log.warning(
            "the aggregator has an update of this device for round %d, and the state directory "
            "knows of none after round %d: it is a copy or an old backup, or another device has "
            "this id; dropped what it had not sent, which may have been counted already",
            accepted, own,
        )  # fmt: skip

    def take_blob(self, ref: BlobRef, data: bytes) -> None:
        """An artifact or a model has arrived; its hash has been checked."""
        if not isinstance(self.phase, Fetching):
            return
        manifest = self.phase.manifest
        if ref == manifest.artifact:
            self._workbench.artifacts.put(ref, data)
        elif not self._vectors.take(manifest, ref, data) and self._models is not None:
            self._models.take(manifest, ref, data)
        self._prepare(manifest)

    def give_up(self, error: MemoryError) -> None:
        """There was not enough memory for what the round needs."""
        if isinstance(self.phase, Fetching):
            self._skip(self.phase.manifest, error)

    def train(self) -> bool:
        """One local step, or the encoding after the last; whether there was anything to do.

        A step trains on a batch of examples, or evaluates the model on one.
        """
        if not isinstance(self.phase, Training | Evaluating) or self._steps is None:
            return False
        manifest = self.phase.manifest
        try:
            with making("a training step"):
                done = next(self._steps)
            self.phase = replace(self.phase, n_steps=done if isinstance(done, int) else done.step)
        except StopIteration as end:
            self._finish(manifest, end.value)
        except _SKIP as error:  # the graph is loaded by the first step
            self._skip(manifest, error)
        return True

    def look_for_examples(self, now_s: float) -> None:
        """Retry the open round that was skipped for lack of examples, once there are some."""
        examples = self._workbench.examples
        if self._waiting is None or now_s - self._looked_at_s < _LOOK_S:
            return
        self._looked_at_s = now_s
        if examples.has_news():
            manifest, self._waiting = self._waiting, None
            self.phase = next_phase(self.phase, manifest, self._answered)
            if isinstance(self.phase, Fetching):
                self._prepare(manifest)

    def stop(self) -> None:
        """Abandon whatever is under way."""
        if isinstance(self.phase, Training | Evaluating):
            self._abandon(self.phase)
        self.phase = Idle("stopped")
        self._workbench.fetcher.want(())

    def _enter(self, run: bytes) -> None:
        """Forget the previous run: its rounds have the same numbers but mean something else."""
        workbench = self._workbench
        workbench.outbox.enter(workbench.job, run)
        workbench.sender.forget()
        if self._models is not None:
            self._models.forget()
        if self._run is not None:
            _log.warning(
                "job %s was started over: forgot answers, residual and unsent updates of run %s",
                workbench.job, self._run.hex(),
            )  # fmt: skip
        self._run, self._sequence, self._answered = run, -1, None
        self._round = RoundId(0)
        self._foreign = RoundId(-1)

    def _prepare(self, manifest: RoundManifest) -> None:
        """Continue with a round: fetch whatever is missing, or start if nothing is."""
        self.skipped = None
        what = f"an artifact of {manifest.artifact.size_bytes} bytes and its training"
        try:
            with making(what):
                learner = self._ready_learner(manifest.artifact)
            if learner is None:
                self._workbench.fetcher.want([manifest.artifact])
            elif manifest.kind is RoundKind.STATISTICS:
                self._workbench.fetcher.want(())
                submit_statistics(self._workbench, manifest, learner)
                self._have_answered(manifest)
            else:
                self._start(manifest, learner)
        except _SKIP as error:
            self._skip(manifest, error)

    def _ready_learner(self, ref: BlobRef) -> Learner | None:
        if self._learner is None or self._learner.ref != ref:
            examples = self._workbench.examples.get()  # without them the artifact is useless
            data = self._workbench.artifacts.get(ref)
            if data is None:
                return None
            workbench = self._workbench
            artifact = Artifact.from_bytes(data)
            check_artifact(workbench.state_dir, artifact, len(data))
            self._learner = Learner(
                ref,
                artifact,
                examples,
                device=workbench.device,
                threads=workbench.threads,
                engine=workbench.engine,
            )
            self._models = ModelSync(workbench.models, artifact, self._answered)
        return self._learner

    def _start(self, manifest: RoundManifest, learner: Learner) -> None:
        assert self._models is not None  # noqa: S101 - made with the learner
        model, vectors = self._models.get(manifest), self._vectors.wanted(manifest)
        if model is None or vectors is not None:
            wanted = [self._models.wanted(manifest)] if model is None else []
            self._workbench.fetcher.want(wanted if vectors is None else [*wanted, vectors])
            return
        self._workbench.fetcher.want(())
        if manifest.kind is RoundKind.EVALUATION:
            parameters = learner.parameters(model)
            self._steps = evaluate(self._workbench, manifest, learner, parameters)
            self.phase = Evaluating(manifest)
            return
        server = self._vectors.get(manifest, learner.artifact.n_trainable)
        self._assignment = assignment = assign(manifest, learner, server)
        self._steps = begin(
            self._workbench, manifest, learner, learner.parameters(model), assignment
        )
        self.phase = Training(manifest)
        own = learner.split(manifest.plan)
        if manifest.plan.validation and own.validation is None and not self._is_whole_told:
            self._is_whole_told = True
            _log.warning(
                "%d examples are too few to hold out %.3g of them: training on all, and skipping "
                "rounds of evaluation", own.training.n_examples, manifest.plan.validation,
            )  # fmt: skip
        n_steps = manifest.plan.n_steps(own.training.n_examples)
        _log.info("round %d: training, %d steps", manifest.round, n_steps)

    def _finish(self, manifest: RoundManifest, result: Trained | Evaluated) -> None:
        assert self._learner is not None  # noqa: S101 - a round trains only after its artifact was read
        self._steps = None
        try:
            if isinstance(result, Evaluated):
                submit_evaluation(self._workbench, manifest, self._learner, result)
            else:
                with making("an encoded update"):
                    learner, assignment = self._learner, self._assignment
                    submit_update(self._workbench, manifest, learner, result, assignment)
        except _SKIP as error:
            self._skip(manifest, error)
            return
        self.n_trained += isinstance(result, Trained)
        self._have_answered(manifest)

    def _have_answered(self, manifest: RoundManifest) -> None:
        self._answered = Answer(manifest.round, manifest.model.sha256)
        self.phase = Answered(manifest)

    def _skip(self, manifest: RoundManifest, error: Exception) -> None:
        self._steps = None
        why = str(error)
        if isinstance(error, MemoryError):
            self._learner = self._models = None  # they may be what took up the memory
            why = f"this machine has too little memory for the job ({error})"
        self.skipped = Skipped(manifest.run, manifest.round, why)
        self._workbench.fetcher.want(())
        self.phase = Idle(f"skipped round {manifest.round}: {why}")
        if self._workbench.examples.are_there:
            # Remembered until the process ends, so that the same manifest is not tried again.
            self._answered = Answer(manifest.round, manifest.model.sha256)
        else:
            self._waiting = manifest
        is_news, self._last_reason = why != self._last_reason, why
        say = _log.error if is_news else _log.debug
        say("skipping round %d: %s", manifest.round, why)
        if manifest.round != self._skipped_round:
            self._skipped_round = manifest.round
            self.n_skipped += 1

    def _abandon(self, before: Training | Evaluating) -> None:
        if self._steps is not None:
            self._steps.close()
            self._steps = None
        _log.info(
            "round %d: abandoned after %d local steps; none of that is sent",
            before.manifest.round, before.n_steps,
        )  # fmt: skip
