"""An artifact ready for use on a device: does a round's work on the device's own examples."""

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np

from fedge import codecs
from fedge.artifact import Artifact
from fedge.device.work.seeds import derive_seed
from fedge.errors import DataError, PayloadError, TrainingError
from fedge.messages import BlobRef, RoundManifest
from fedge.training import ArrayData, DataSource, StepReport, Trainer
from fedge.training.engines import EngineName
from fedge.types import DeviceId, Update, Vector


@dataclass(frozen=True, slots=True)
class Encoded:
    """An update in the form the aggregator accepts, and what its encoding left behind."""

    payload: bytes
    residual: Vector | None  # None: the codec has no error feedback


class Learner:
    """One artifact, and this device's examples checked against it.

    Args:
        ref: the artifact's reference in the manifest.
        artifact: its content.
        data: the examples.
        device: the one whose seeds are used.
        threads: to train with.
        engine: what trains.

    Raises:
        DataError: on construction, if the examples do not fit the artifact.
    """

    def __init__(
        self,
        ref: BlobRef,
        artifact: Artifact,
        data: DataSource,
        *,
        device: DeviceId,
        threads: int,
        engine: EngineName,
    ) -> None:
        self.ref, self.artifact = ref, artifact
        self.data = data.check(artifact.manifest) if isinstance(data, ArrayData) else data
        if self.data.n_examples < 1:
            raise DataError("examples", expected="at least one", found="none")
        self._device = device
        self._trainer = Trainer(artifact, threads=threads, engine=engine)

    def parameters(self, model: bytes) -> Vector:
        """The flat parameters in a model's bytes, (n_params,).

        Raises:
            PayloadError: if their number is wrong, or one is not finite.
        """
        size = 4 * self.artifact.n_params
        if len(model) != size:
            raise PayloadError("global model", expected=f"{size} bytes", found=len(model))
        values = np.frombuffer(model, "<f4")
        if not np.isfinite(values).all():
            raise PayloadError("global model", expected="finite numbers", found="NaN or infinity")
        return values

    def train(
        self,
        manifest: RoundManifest,
        parameters: Vector,
        *,
        proximal: float | None = None,
        correction: Vector | None = None,
        purpose: str = "training",
    ) -> Generator[StepReport, None, Update]:
        """The round's local steps, one per `next`; see `Trainer.steps`.

        The plan's seed gives every device, round and purpose its own order of examples.

        Args:
            manifest: of the round.
            parameters: where the steps start.
            proximal: the pull towards there, instead of the plan's.
            correction: added to every gradient.
            purpose: of these steps, if a round has others too.
        """
        seed = derive_seed(manifest.plan.seed, self._device, manifest.round, purpose)
        pull = manifest.plan.proximal if proximal is None else proximal
        plan = replace(manifest.plan, seed=seed, proximal=pull)
        return self._trainer.steps(parameters, self.data, plan, correction)

    def encode(
        self,
        update: Update,
        manifest: RoundManifest,
        residual: Vector | None,
        *,
        budget_bytes: int | None = None,
    ) -> Encoded:
        """The update as a payload of the plan's codec, or of one that fits a budget.

        Args:
            update: the result of training.
            manifest: the round it belongs to.
            residual: what earlier encodings left behind, (n_trainable,), or None; it is
                overwritten.
            budget_bytes: the most that the payload may have; None leaves the codec to the plan.

        Raises:
            ConfigError: if this release does not know the codec.
            TrainingError: if the sum of update and residual exceeds the range of float32.
        """
        codec = codecs.get(
            manifest.plan.codec if budget_bytes is None else f"budget:{budget_bytes}"
        )
        seed = derive_seed(manifest.plan.seed, self._device, manifest.round, "codec")
        stamp = codecs.Stamp(
            schema=self.artifact.schema[:4], round=manifest.round, n_examples=update.n_examples
        )
        kept = None
        if codec.uses_residual:
            kept = np.zeros(self.artifact.n_trainable, np.float32) if residual is None else residual
        try:
            payload = codec.encode(update.delta, kept, np.random.default_rng(seed), stamp=stamp)
        except ValueError as error:
            raise TrainingError(f"the update cannot be encoded: {error}") from None
        return Encoded(payload, kept)
