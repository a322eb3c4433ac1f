"""An artifact ready for use on a device: does a round's work on the device's own examples."""

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np

from fedge import codecs
from fedge.artifact import Artifact
from fedge.device.work.seeds import derive_seed
from fedge.errors import DataError, PayloadError, TrainingError
from fedge.messages import BlobRef, RoundManifest
from fedge.training import ArrayData, DataSource, Plan, StepReport, Trainer
from fedge.training.engines import EngineName
from fedge.training.holdout import Split, split
from fedge.training.metrics import Sums
from fedge.types import DeviceId, RoundId, Update, Vector


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
        own: the examples.
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
        own: Split,
        *,
        device: DeviceId,
        threads: int,
        engine: EngineName,
    ) -> None:
        self.ref, self.artifact = ref, artifact
        marked = own.validation
        self._own = Split(self._fit(own.training), None if marked is None else self._fit(marked))
        if self._own.training.n_examples < 1:
            raise DataError("examples", expected="at least one", found="none")
        self._device = device
        self._trainer = Trainer(artifact, threads=threads, engine=engine)

    def split(self, plan: Plan) -> Split:
        """What to train on and what to evaluate on, the same in every round.

        Examples that the data mark are held out, or else the plan's share of them.
        """
        if self._own.validation is not None:
            return self._own
        seed = derive_seed(plan.seed, self._device, RoundId(0), "validation")
        return split(self._own.training, plan.validation, seed)

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
        data = self.split(manifest.plan).training
        return self._trainer.steps(parameters, data, plan, correction)

    def evaluate(self, manifest: RoundManifest, parameters: Vector) -> Generator[int, None, Sums]:
        """The evaluation of a model on the held-out examples, one batch per `next`.

        Raises:
            DataError: if no examples are held out.
        """
        found = self.split(manifest.plan).validation
        if found is None:
            n, share = self._own.training.n_examples, manifest.plan.validation
            raise DataError(
                "validation examples",
                expected="at least one",
                found=f"none: {n} are too few to hold out {share:.3g} of them"
                if share
                else "none: the data mark none, and the job asks to hold out none",
            )
        return self._trainer.measure(parameters, found)

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
        asked = manifest.plan.codec
        codec = codecs.get(asked if budget_bytes is None else codecs.within(budget_bytes, asked))
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

    def _fit(self, data: DataSource) -> DataSource:
        return data.check(self.artifact.manifest) if isinstance(data, ArrayData) else data
