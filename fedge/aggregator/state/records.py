"""Rows of the database, as values."""

from collections.abc import Mapping
from dataclasses import dataclass

from fedge.strategies import algorithms
from fedge.types import DeviceId, JobId, RoundId


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """The job that the state directory belongs to; written once."""

    fleet: str
    job: JobId
    run: bytes  # random, drawn when the directory was created
    artifact: bytes  # SHA-256
    sequence: int
    is_announced: bool = False
    last_number: int = -1  # rounds up to this one were given out, with a model or without


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRecord:
    """A round as it was opened."""

    round: RoundId
    kind: str
    manifest: bytes
    expected: frozenset[DeviceId]
    quorum: int
    opened_at: str
    uplink_bytes: int = 0
    downlink_bytes: int = 0
    spent_s: float = 0.0  # of its deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRecord:
    """An update about to be accepted."""

    round: RoundId
    device: DeviceId
    nonce: bytes
    n_examples: int
    payload: bytes
    n_steps: int | None = None  # as its device says, like the loss
    loss: float | None = None


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A device of a cohort, the round that it answered, and the weight of its update."""

    device: DeviceId
    round: RoundId
    n_examples: int
    group: int = 0  # where the payload is: its group, and the offset in it
    start: int = 0
    size_bytes: int = 0
    n_steps: int | None = None
    loss: float | None = None

    @property
    def key(self) -> tuple[DeviceId, RoundId]:
        return self.device, self.round


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """A global model; hashes are SHA-256, 32 bytes."""

    version: int
    round: RoundId | None  # the one that made it
    parent: bytes | None
    sha256: bytes
    held: bytes  # the version that devices hold after its broadcast
    memory: bytes | None
    strategy: str
    loss: float | None = None
    accuracy: float | None = None
    algorithm: str = algorithms.DEFAULT
    since: int = 0  # the version that the algorithm's vectors began with
    server: bytes | None = None  # the vectors that devices need of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts since the last commit that are worth storing."""

    uplink_bytes: int = 0
    downlink_bytes: int = 0
    refusals: Mapping[str, int]  # by reason

    @property
    def is_empty(self) -> bool:
        return not (self.uplink_bytes or self.downlink_bytes or self.refusals)
