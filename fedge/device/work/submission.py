"""Puts results into the outbox: measured features, encoded updates."""

import os

from fedge import codecs
from fedge.device.state.outbox import Result
from fedge.device.work.learner import Learner
from fedge.device.work.workbench import Workbench
from fedge.logs import logger
from fedge.messages import Facts, RoundManifest
from fedge.messages.statistics import StatisticsReport
from fedge.messages.update import NONCE_BYTES
from fedge.training.statistics import measure
from fedge.types import Update, Vector

_log = logger(__name__)


def submit_statistics(workbench: Workbench, manifest: RoundManifest, learner: Learner) -> None:
    """Measure the features of the device's examples, for a statistics round."""
    report = StatisticsReport(
        schema=learner.artifact.schema,
        round=manifest.round,
        n_examples=learner.data.n_examples,
        features=measure(learner.data, learner.artifact.manifest),
    )
    _submit(workbench, manifest, learner, report.to_bytes(), residual=None)
    _log.info("round %d: measured the features", manifest.round)


def submit_update(
    workbench: Workbench, manifest: RoundManifest, learner: Learner, update: Update
) -> None:
    """Encode the result of training, with what earlier encodings left behind.

    Raises:
        ConfigError, TrainingError: like `Learner.encode`; nothing is put in then.
    """
    schema = learner.artifact.schema
    if workbench.outbox.drop_residual(manifest.job, schema):
        _log.warning("the model has changed: dropped what earlier updates had left unsent")
    residual = workbench.outbox.residual(manifest.job, schema)
    budget = workbench.uplink.choose(manifest.round)
    encoded = learner.encode(update, manifest, residual, budget_bytes=budget)
    facts = Facts.of(update) if manifest.wants_facts else None
    _submit(workbench, manifest, learner, encoded.payload, encoded.residual, facts=facts)
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
    payload: bytes,
    residual: Vector | None,
    *,
    facts: Facts | None = None,
) -> None:
    result = Result(
        job=manifest.job,
        run=manifest.run,
        round=manifest.round,
        nonce=os.urandom(NONCE_BYTES),
        kind=manifest.kind,
        parts=manifest.parts,
        schema=learner.artifact.schema,
        has_feedback=residual is not None,
        payload=payload,
        facts=facts,
    )
    workbench.outbox.put(
        result,
        model_sha256=manifest.model.sha256,
        sequence=manifest.sequence,
        residual=residual,
    )
    workbench.sender.add(result.nonce)
