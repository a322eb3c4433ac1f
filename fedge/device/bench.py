"""What a device's worker works with, and the results that it lays into the outbox."""

import os
from dataclasses import dataclass
from pathlib import Path

from fedge import codecs
from fedge.device.cache import BlobCache
from fedge.device.examples import Examples
from fedge.device.fetcher import Fetcher
from fedge.device.learner import Learner
from fedge.device.outbox import Outbox, Result
from fedge.device.sender import Sender
from fedge.device.uplink import Uplink
from fedge.logs import logger
from fedge.messages import RoundManifest
from fedge.messages.statistics import StatisticsReport
from fedge.messages.update import NONCE_BYTES
from fedge.training.engines import EngineName
from fedge.training.statistics import measure
from fedge.types import DeviceId, JobId, Update, Vector

_log = logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One job's tools and stores on this device."""

    job: JobId
    device: DeviceId
    examples: Examples
    threads: int
    engine: EngineName
    outbox: Outbox
    sender: Sender
    uplink: Uplink
    fetcher: Fetcher
    artifacts: BlobCache
    models: BlobCache
    state_dir: Path

    def put_statistics(self, manifest: RoundManifest, learner: Learner) -> None:
        """Measure the features of the own examples, for a statistics round."""
        report = StatisticsReport(
            schema=learner.artifact.schema,
            round=manifest.round,
            n_examples=learner.data.n_examples,
            features=measure(learner.data, learner.artifact.manifest),
        )
        self._put(manifest, learner, report.to_bytes(), residual=None)
        _log.info("round %d: measured the features", manifest.round)

    def put_update(self, manifest: RoundManifest, learner: Learner, update: Update) -> None:
        """Encode what training gave, with what earlier encodings had left behind.

        Raises:
            ConfigError, TrainingError: as `Learner.encode`; then nothing is put in.
        """
        schema = learner.artifact.schema
        if self.outbox.drop_residual(manifest.job, schema):
            _log.warning("the model has changed: dropped what earlier updates had left unsent")
        residual = self.outbox.residual(manifest.job, schema)
        budget = self.uplink.choose(manifest.round)
        encoded = learner.encode(update, manifest, residual, budget_bytes=budget)
        self._put(manifest, learner, encoded.payload, encoded.residual)
        _log.info(
            "round %d: trained %d steps on %d examples, loss %.4g, update of %d bytes",
            manifest.round, update.n_steps, update.n_examples, update.loss, len(encoded.payload),
        )  # fmt: skip
        if budget is not None:
            header = codecs.read_header(encoded.payload)
            _log.info(
                "round %d: a budget of %d bytes: %d of %d values, %s",
                manifest.round, budget, header.n_kept, header.n_params,
                header.scheme.name.lower().replace("_", " "),
            )  # fmt: skip

    def _put(
        self, manifest: RoundManifest, learner: Learner, payload: bytes, residual: Vector | None
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
        )
        self.outbox.put(
            result,
            model_sha256=manifest.model.sha256,
            sequence=manifest.sequence,
            residual=residual,
        )
        self.sender.add(result.nonce)
