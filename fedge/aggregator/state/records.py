"""Rows of the database, as values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True)
class DeviceEvaluation:
    """What a device says of a model, on its own examples."""

    device: DeviceId
    n_examples: int
    loss: float  # mean over them
    accuracy: float | None  # None if answers are numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRecord:
    """A model's evaluation by devices.

    Attributes:
        round: the one that asked for it.
        version: of the model.
        n_examples: of all devices together, as far as they count.
        loss: mean over these.
        accuracy: share of right answers; None if answers are numbers.
        devices: what each of them said.
    """

    round: RoundId
    version: int
    n_examples: int
    loss: float
    accuracy: float | None
    devices: tuple[DeviceEvaluation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How an update compares with those of its cohort that count; None where that is not known.

    Attributes:
        norm: its length, in median norms.
        cosine: of the angle between it and the direction of the others.
        loss: how far its training loss is above the median, in robust standard deviations, or its
            device's loss on held-out examples, whichever is farther.
        marks: what is out of the ordinary, or was cut: any of `MARKS`.
    """

    device: DeviceId
    norm: float | None = None
    cosine: float | None = None
    loss: float | None = None
    marks: frozenset[str] = frozenset()


MARKS = ("suspect", "long", "opposed", "lossy", "dropped", "clipped", "capped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """A decision about a device.

    Attributes:
        is_out: whether its updates do not count; if they do, that is by hand, and the rule must
            not put the device in quarantine.
        by: "rule" or "hand".
        round: the latest one when it was made; -1 before the first.
        since: the time, for people.
        reason: a sentence, for people.
        n_clean: rounds in a row, since then, in which the rule would have found nothing.
    """

    device: DeviceId
    is_out: bool
    by: str
    round: int
    since: str
    reason: str
    n_clean: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What a round says about its devices, to be stored with its model.

    Attributes:
        round: which.
        scores: one per device.
        begun: devices that the rule puts in quarantine, and why.
        ended: devices that the rule releases.
        clean: of the others that the rule has put there, their new `n_clean`.
    """

    round: RoundId
    scores: tuple[Score, ...] = ()
    begun: Mapping[DeviceId, str] = field(default_factory=dict)
    ended: frozenset[DeviceId] = frozenset()
    clean: Mapping[DeviceId, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What a round has shown about devices, to be stored with its model.

    Attributes:
        verdicts: how their updates compare with others; None: the round says nothing.
        history: the new sums of what they have sent, for rules that need them; read it once.
    """

    verdicts: Verdicts | None = None
    history: Iterable[tuple[DeviceId, bytes]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts since the last commit that are worth storing."""

    uplink_bytes: int = 0
    downlink_bytes: int = 0
    refusals: Mapping[str, int]  # by reason

    @property
    def is_empty(self) -> bool:
        return not (self.uplink_bytes or self.downlink_bytes or self.refusals)
