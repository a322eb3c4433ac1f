"""A round's algorithm, and what it adds to a device's work."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedge import codecs
from fedge.device.state.disk import check_artifact
from fedge.device.state.own_vector import Own, own_key
from fedge.device.work.learner import Learner
from fedge.device.work.workbench import Workbench
from fedge.errors import ConfigError, TrainingError
from fedge.logs import logger
from fedge.messages import RoundManifest
from fedge.training import StepReport
from fedge.training.metrics import Sums
from fedge.types import Update, Vector

if TYPE_CHECKING:
    from fedge.strategies.algorithms import Algorithm, Vectors

_log = logger(__name__)
PLAIN = "fedavg"  # asks for nothing, so its code is never loaded


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """The result of a round's steps.

    Attributes:
        update: of the global model.
        personal: the device's own model, float32 (n_params,); None if it trains none.
    """

    update: Update
    personal: Vector | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """What models did on the held-out examples.

    Attributes:
        sums: of the global model.
        personal: of the device's own model; None if it has none.
    """

    sums: Sums
    personal: Sums | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """One round's algorithm with everything that it works on.

    Attributes:
        algorithm: that of the plan.
        key: of the device's own vector.
        server: the aggregator's vectors.
    """

    algorithm: "Algorithm"
    key: str
    server: "Vectors"

    def steps(
        self, manifest: RoundManifest, learner: Learner, parameters: Vector, own: Vector | None
    ) -> Generator[StepReport, None, Trained]:
        """All local steps of the round, one per `next`."""
        terms = self.algorithm.local(manifest.plan, self.server, own)
        update = yield from learner.train(
            manifest, parameters, proximal=terms.proximal, correction=terms.correction
        )
        n_trainable = learner.artifact.n_trainable
        personal = self.algorithm.personal(parameters[:n_trainable], own)
        if personal is None or personal.start is None:
            return Trained(update)
        start = np.concatenate([personal.start, parameters[n_trainable:]])
        try:
            found = yield from learner.train(
                manifest,
                start,
                proximal=personal.proximal,
                correction=personal.correction,
                purpose="personal",
            )
        except TrainingError as error:
            _log.warning("round %d: the personal model stays as it was: %s", manifest.round, error)
            return Trained(update)
        start[:n_trainable] += found.delta
        return Trained(update, start)

    def after(
        self, manifest: RoundManifest, trained: Trained, payload: bytes, own: Vector | None
    ) -> Own | None:
        """The device's own vector after this payload has been sent; None: it stays as it is.

        Args:
            manifest: of the round.
            trained: what the payload was encoded from.
            payload: what is sent.
            own: the vector as it is now: a refusal may have changed it since training began.
        """
        if trained.personal is not None:
            return Own(self.key, trained.personal[: trained.update.delta.size], None)
        if self.algorithm.control is None:
            return None
        from fedge.strategies.algorithms import Sent  # noqa: PLC0415 - loaded with the algorithm

        sent = Sent(codecs.decode(payload).to_dense(), trained.update.n_steps)
        with np.errstate(over="ignore", invalid="ignore"):
            after = self.algorithm.after(manifest.plan, self.server, own, sent)
        if after is None or not np.isfinite(after).all():
            raise TrainingError(f"what {self.algorithm.name} keeps of this round is not finite")
        return Own(self.key, after, after if own is None else after - own)


def assign(manifest: RoundManifest, learner: Learner, server: "Vectors") -> Assignment | None:
    """The algorithm of a round; None if it asks for nothing.

    Raises:
        ConfigError: if this release does not know it.
    """
    if manifest.plan.algorithm == PLAIN:
        return None
    from fedge.strategies import algorithms  # noqa: PLC0415 - few jobs need it

    algorithm = algorithms.get(manifest.plan.algorithm)
    since = 0 if manifest.server is None else manifest.server.since
    return Assignment(algorithm, own_key(algorithm.name, since, learner.artifact.schema), server)


def begin(
    workbench: Workbench,
    manifest: RoundManifest,
    learner: Learner,
    parameters: Vector,
    assignment: Assignment | None,
) -> Generator[StepReport, None, Trained]:
    """The local steps of a round, with its algorithm or without.

    Raises:
        StorageError: if the disk is too small for what the algorithm keeps.
    """
    if assignment is None:
        return _plain(manifest, learner, parameters)
    own = workbench.outbox.own(manifest.job, assignment.key)
    if own is None and assignment.algorithm.keeps_vector:
        size_bytes = manifest.artifact.size_bytes
        check_artifact(workbench.state_dir, learner.artifact, size_bytes, keeps_vector=True)
    return assignment.steps(manifest, learner, parameters, own)


def evaluate(
    workbench: Workbench, manifest: RoundManifest, learner: Learner, parameters: Vector
) -> Generator[int, None, Evaluated]:
    """The evaluation of the round's model, and of the device's own if the algorithm keeps one.

    Raises:
        DataError: like `Learner.evaluate`.
    """
    sums = yield from learner.evaluate(manifest, parameters)
    try:
        assignment = assign(manifest, learner, {})
    except ConfigError:  # no model of its own either
        return Evaluated(sums)
    if assignment is None or assignment.algorithm.personal_pull is None:
        return Evaluated(sums)
    own = workbench.outbox.own(manifest.job, assignment.key)
    if own is None:
        return Evaluated(sums)
    personal = np.concatenate([own, parameters[learner.artifact.n_trainable :]])
    return Evaluated(sums, (yield from learner.evaluate(manifest, personal)))


def _plain(
    manifest: RoundManifest, learner: Learner, parameters: Vector
) -> Generator[StepReport, None, Trained]:
    return Trained((yield from learner.train(manifest, parameters)))
