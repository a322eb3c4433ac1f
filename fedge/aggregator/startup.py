"""Everything a job needs, ready before it starts: its directory, artifact and model 0."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager

from fedge import codecs, strategies
from fedge.aggregator.clock import Clock
from fedge.aggregator.models.broadcast import Broadcast
from fedge.aggregator.models.model import keep
from fedge.aggregator.models.retention import forget_models
from fedge.aggregator.rounds.context import Context
from fedge.aggregator.rounds.evaluation import Evaluator
from fedge.aggregator.state.folder import StateFolder
from fedge.aggregator.state.records import JobRecord, ModelRecord
from fedge.aggregator.state.store import Store
from fedge.artifact import Artifact, load_artifact
from fedge.config.aggregator import AggregatorConfig
from fedge.errors import ConfigError
from fedge.messages import BlobRef
from fedge.messages.update import RUN_BYTES
from fedge.storage import Lock, write_file
from fedge.strategies import algorithms
from fedge.types import JobId


@contextmanager
def opened(config: AggregatorConfig, clock: Clock) -> Iterator[Context]:
    """The state directory, locked and consistent, for as long as the context lasts.

    Raises:
        ConfigError: if the settings contradict each other or the directory's own job.
        ArtifactError, DataError: if the artifact or the test data cannot be used.
        StorageError: if the directory is locked, full or damaged.
    """
    _check_strategy(config)
    codecs.get(config.plan().codec)  # better to refuse it here than on every device
    codecs.get(config.downlink_codec)
    artifact = load_artifact(config.artifact)
    evaluator = Evaluator(artifact, config.test_data) if config.test_data else None
    folder = StateFolder(config.state_dir)
    folder.make()
    with Lock(folder.path, "aggregator"):
        folder.sweep()
        with closing(Store(folder.path, timestamp=clock.timestamp)) as store:
            data = artifact.to_bytes()
            ref = BlobRef(bytes.fromhex(artifact.sha256), len(data))
            found = store.job()
            if not folder.artifact.is_file():
                write_file(folder.artifact, data, is_private=True)
            if found is None:
                found = _begin(config, folder, store, artifact)
            else:
                _check_same(found, config, ref)
            forget_models(store, folder, config.keep_models)
            yield Context(
                config=config,
                folder=folder,
                store=store,
                run=found.run,
                artifact=artifact,
                artifact_ref=ref,
                evaluator=evaluator,
                clock=clock,
            )


def _check_strategy(config: AggregatorConfig) -> None:
    strategy = strategies.get(config.strategy)
    algorithms.check(algorithms.get(config.algorithm), strategy, config.plan())
    least = strategy.rule.least
    if config.quorum < least:
        raise ConfigError(
            f"strategy {config.strategy!r} needs at least {least} updates, but rounds may close "
            f"with {config.quorum}: raise the quorum"
        )


def _begin(
    config: AggregatorConfig, folder: StateFolder, store: Store, artifact: Artifact
) -> JobRecord:
    strategy, algorithm = strategies.get(config.strategy), algorithms.get(config.algorithm)
    state = algorithm.init(strategy.init(artifact.parameters[: artifact.n_trainable]))
    whole = Broadcast(None, artifact.parameters)
    kept = keep(folder, artifact.parameters, whole, state)
    job = JobRecord(
        fleet=config.fleet,
        job=JobId(config.job),
        run=secrets.token_bytes(RUN_BYTES),
        artifact=bytes.fromhex(artifact.sha256),
        sequence=0,
    )
    model = ModelRecord(
        version=0,
        round=None,
        parent=None,
        sha256=kept.sha256,
        held=kept.held,
        memory=kept.memory,
        strategy=config.strategy,
        algorithm=config.algorithm,
    )
    store.begin(job, model)
    return job


def _check_same(found: JobRecord, config: AggregatorConfig, artifact: BlobRef) -> None:
    if (found.fleet, found.job) != (config.fleet, config.job):
        raise ConfigError(
            f"{config.state_dir} belongs to job {found.job!r} of fleet {found.fleet!r}, not to "
            f"{config.job!r} of {config.fleet!r}: give this job a --state-dir of its own"
        )
    if found.artifact != artifact.sha256:
        raise ConfigError(
            f"{config.state_dir} was created with another artifact (SHA-256 "
            f"{found.artifact.hex()[:16]}) than {config.artifact} ({artifact.key}): give the "
            "artifact it was created with, or a new --state-dir"
        )
