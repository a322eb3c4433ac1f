"""Everything a job needs, ready before it starts."""

from dataclasses import dataclass

from fedge.aggregator.clock import Clock
from fedge.aggregator.rounds.evaluation import Evaluator
from fedge.aggregator.rounds.trusted import TrustedData
from fedge.aggregator.state.folder import StateFolder
from fedge.aggregator.state.store import Store
from fedge.artifact import Artifact
from fedge.config.aggregator import AggregatorConfig, BestBy
from fedge.messages import BlobRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Settings, the locked state directory, what is trained and how it is evaluated.

    Models are compared by `compare_by`; None if none is evaluated.
    """

    config: AggregatorConfig
    folder: StateFolder
    store: Store
    run: bytes
    artifact: Artifact
    artifact_ref: BlobRef
    evaluator: Evaluator | None
    trusted: TrustedData | None = None
    compare_by: BestBy | None
    clock: Clock
