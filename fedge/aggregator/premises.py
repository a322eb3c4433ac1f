"""What a job stands on; all of it is there before the job is."""

from dataclasses import dataclass

from fedge.aggregator.clock import Clock
from fedge.aggregator.folder import StateFolder
from fedge.aggregator.judge import Judge
from fedge.aggregator.store import Store
from fedge.artifact import Artifact
from fedge.config.aggregator import AggregatorConfig
from fedge.messages import BlobRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """Settings, the locked state directory, what is trained and how it is judged."""

    config: AggregatorConfig
    folder: StateFolder
    store: Store
    run: bytes
    artifact: Artifact
    artifact_ref: BlobRef
    judge: Judge | None
    clock: Clock
