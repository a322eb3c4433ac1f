"""Puts results into the outbox: measured features, encoded updates, evaluations."""

import os
from dataclasses import replace

from fedge import codecs
from fedge.device.state.directory import PERSONAL
from fedge.device.state.outbox import Result
from fedge.device.state.own_vector import Own
from fedge.device.work.assignment import Assignment, Evaluated, Trained
from fedge.device.work.learner import Encoded, Learner
from fedge.device.work.workbench import Workbench
from fedge.errors import PayloadError, TrainingError
from fedge.logs import logger
from fedge.messages import EvaluationReport, Facts, RoundManifest
from fedge.messages.statistics import StatisticsReport
from fedge.messages.update import NONCE_BYTES
from fedge.storage import write_file
from fedge.training.statistics import measure

_log = logger(__name__)


def submit_statistics(workbench: Workbench, manifest: RoundManifest, learner: Learner) -> None:
    """Measure the features of the examples to train on, for a statistics round."""
    data = learner.split(manifest.plan).training
    report = StatisticsReport(
        schema=learner.artifact.schema,
        round=manifest.round,
        n_examples=data.n_examples,
        features=measure(data, learner.artifact.manifest),
    )
    _submit(workbench, manifest, learner, Encoded(report.to_bytes(), None))
    _log.info("round %d: measured the features", manifest.round)


def submit_evaluation(
    workbench: Workbench, manifest: RoundManifest, learner: Learner, found: Evaluated
) -> None:
    """Report how well the models do on the held-out examples, for an evaluation round.

    A model of the device's own that cannot be judged is left out.

    Raises:
        TrainingError: if the global model's loss or scores are not finite; nothing is put in then.
    """
    sums = found.sums
    report = EvaluationReport(schema=learner.artifact.schema, round=manifest.round, sums=sums)
    payload = _checked(learner, report)
    if found.personal is not None:
        try:
            payload = _checked(learner, replace(report, personal=found.personal))
        except TrainingError as error:
            _log.warning("round %d: left out this device's own model: %s", manifest.round, error)
    _submit(workbench, manifest, learner, Encoded(payload, None))
    _log.info(
        "round %d: evaluated the model on %d examples, loss %.4g, report of %d bytes",
        manifest.round, sums.n_examples, sums.mean_loss, len(payload),
    )  # fmt: skip


def _checked(learner: Learner, report: EvaluationReport) -> bytes:
    payload = report.to_bytes()
    try:
        EvaluationReport.from_bytes(payload, learner.artifact.manifest)
    except PayloadError as error:
        raise TrainingError(f"the model cannot be judged by this device: {error}") from None
    return payload


def submit_update(
    workbench: Workbench,
    manifest: RoundManifest,
    learner: Learner,
    trained: Trained,
    assignment: Assignment | None = None,
) -> None:
    """Encode the result of training, with what earlier encodings left behind.

    Raises:
        ConfigError, TrainingError: like `Learner.encode`; nothing is put in then.
    """
    schema, update = learner.artifact.schema, trained.update
    if workbench.outbox.drop_residual(manifest.job, schema):
        _log.warning("the model has changed: dropped what earlier updates had left unsent")
    residual = workbench.outbox.residual(manifest.job, schema)
    budget = workbench.uplink.choose(manifest.round)
    encoded = learner.encode(update, manifest, residual, budget_bytes=budget)
    facts = Facts.of(update) if manifest.wants_facts else None
    own = None
    if assignment is not None:
        now = workbench.outbox.own(manifest.job, assignment.key)
        own = assignment.after(manifest, trained, encoded.payload, now)
    _submit(workbench, manifest, learner, encoded, facts=facts, own=own)
    if trained.personal is not None:
        data = trained.personal.astype("<f4", copy=False).tobytes()
        write_file(workbench.state_dir / PERSONAL, data, is_private=True)
    _log.info(
        "round %d: trained %d steps on %d examples, loss %.4g, update of %d bytes",
        manifest.round, update.n_steps, update.n_examples, update.loss, len(encoded.payload),
    )  # fmt: skip
    if budget is not None:
        header = codecs.read_header(encoded.payload)
        _log.info(
            "round %d: budget %d bytes, sending %d of %d values as %s",
            manifest.round, budget, header.n_kept, header.n_params,
            header.scheme.name.lower().replace("_", " "),
        )  # fmt: skip


def _submit(
    workbench: Workbench,
    manifest: RoundManifest,
    learner: Learner,
    encoded: Encoded,
    *,
    facts: Facts | None = None,
    own: Own | None = None,
) -> None:
    result = Result(
        job=manifest.job,
        run=manifest.run,
        round=manifest.round,
        nonce=os.urandom(NONCE_BYTES),
        kind=manifest.kind,
        parts=manifest.parts,
        schema=learner.artifact.schema,
        has_feedback=encoded.residual is not None,
        payload=encoded.payload,
        facts=facts,
    )
    workbench.outbox.put(
        result,
        model_sha256=manifest.model.sha256,
        sequence=manifest.sequence,
        residual=encoded.residual,
        own=own,
    )
    workbench.sender.add(result.nonce)
