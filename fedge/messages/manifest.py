"""What a round asks for; retained, so that a device that wakes up late still learns of it."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from fedge.errors import PayloadError
from fedge.messages import wire
from fedge.messages.blob import KEY_DIGITS
from fedge.messages.broadcasts import MAX_ROUNDS
from fedge.messages.skim import Kind
from fedge.messages.topics import read_job
from fedge.messages.update import MAX_ROUND, RUN_BYTES
from fedge.training.plan import Plan
from fedge.types import JobId, RoundId

MAX_BYTES = 8192
_MAX_BLOB_BYTES = 2**32
MAX_PARTS = 4096
MAX_DEADLINE_S = 366 * 86_400  # a leap year
_MAX_CATCH_UPS = 16
_MAX_VALUES = (
    256  # 15 fields, 12 of a plan and 4 values for each way to catch up, with room for more
)
_FIELDS = {
    "job": Kind.TEXT,
    "run": Kind.OCTETS,
    "round": Kind.INTEGER,
    "sequence": Kind.INTEGER,
    "kind": Kind.TEXT,
    "state": Kind.TEXT,
    "artifact": Kind.LIST,
    "model": Kind.LIST,
    "catch_up": Kind.LIST,
    "plan": Kind.MAP,
    "deadline_s": Kind.NUMBER,
    "parts": Kind.INTEGER,
}
_TOO = {"wants_facts": Kind.BOOLEAN, "server": Kind.LIST}


class RoundKind(StrEnum):
    """What a device is asked to send."""

    STATISTICS = (
        "statistics"  # count, mean and spread of its features, before the first training round
    )
    TRAINING = "training"


class RoundState(StrEnum):
    """Where a round stands."""

    OPEN = "open"  # updates are wanted
    CLOSED = "closed"  # updates for this round come too late; another round follows
    FINISHED = "finished"  # no round follows


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A blob that devices can ask for: its whole SHA-256 and its size in bytes."""

    sha256: bytes
    size_bytes: int

    @property
    def key(self) -> str:
        """The blob's name in topics and requests."""
        return self.sha256.hex()[:KEY_DIGITS]

    def to_wire(self) -> list[object]:
        return [self.sha256, self.size_bytes]

    @classmethod
    def from_wire(cls, value: object, what: str) -> Self:
        """Raises PayloadError unless it is [sha256, size]."""
        pair = wire.typed(value, list, what)
        if len(pair) != 2:
            raise PayloadError(what, expected="[sha256, size]", found=len(pair))
        return cls(
            sha256=wire.octets(pair[0], 32, what),
            size_bytes=wire.bounded(pair[1], 1, _MAX_BLOB_BYTES, what),
        )


@dataclass(frozen=True, slots=True)
class CatchUp:
    """`Broadcasts` that lead from the model of that many rounds ago to the manifest's."""

    n_rounds: int
    blob: BlobRef

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Raises PayloadError unless it is [n_rounds, sha256, size]."""
        n_rounds, *blob = wire.typed(value, list, "manifest catch-up") or [None]
        return cls(
            n_rounds=wire.bounded(n_rounds, 1, MAX_ROUNDS, "manifest catch-up"),
            blob=BlobRef.from_wire(blob, "manifest catch-up"),
        )


@dataclass(frozen=True, slots=True)
class ServerRef:
    """The aggregator's side of an algorithm that keeps vectors on both ends.

    Attributes:
        since: the model it began with. Vectors that a device kept since another one are void.
        vectors: the `ServerVectors` that devices need; None: there are none, or all are zeros.
    """

    since: int
    vectors: BlobRef | None = None

    def to_wire(self) -> list[object]:
        return [self.since, *([] if self.vectors is None else self.vectors.to_wire())]

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Raises PayloadError unless it is [since] or [since, sha256, size]."""
        since, *blob = wire.typed(value, list, "manifest server") or [None]
        return cls(
            since=wire.bounded(since, 0, MAX_ROUND, "manifest server"),
            vectors=BlobRef.from_wire(blob, "manifest server") if blob else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundManifest:
    """One round, as every device is told of it.

    CBOR map, at most 8 KB; unknown fields are ignored so that later releases can
    add some. `sequence` grows with every manifest of a run: one that is older than
    the last one seen is a replay. `run` is drawn when a job begins: a job with the same
    name and another run has nothing in common with the one before.
    """

    job: JobId
    run: bytes  # 4
    round: RoundId
    sequence: int
    kind: RoundKind
    state: RoundState
    artifact: BlobRef
    model: BlobRef  # the global parameters: float32, little-endian, the whole flat vector
    catch_up: tuple[CatchUp, ...] = ()  # ways to it that are smaller, shortest first
    plan: Plan
    deadline_s: float  # for a device, counted from the moment it reads this
    parts: int  # partitions of the update topics
    wants_facts: bool = False  # whether updates may carry `Facts`; older releases cannot read them
    server: ServerRef | None = None  # of the plan's algorithm; None: it keeps nothing on both ends

    def to_bytes(self) -> bytes:
        too: dict[str, object] = {"wants_facts": True} if self.wants_facts else {}
        if self.server is not None:
            too["server"] = self.server.to_wire()
        data = wire.encode(
            {
                "v": wire.VERSION,
                "job": self.job,
                "run": self.run,
                "round": self.round,
                "sequence": self.sequence,
                "kind": self.kind.value,
                "state": self.state.value,
                "artifact": self.artifact.to_wire(),
                "model": self.model.to_wire(),
                "catch_up": [[way.n_rounds, *way.blob.to_wire()] for way in self.catch_up],
                "plan": self.plan.to_wire(),
                "deadline_s": self.deadline_s,
                "parts": self.parts,
                **too,
            }
        )
        if len(data) > MAX_BYTES:
            raise ValueError(f"a round manifest of {len(data)} bytes; the most is {MAX_BYTES}")
        return data

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Raises PayloadError unless every field is of its type and in its range."""
        fields = wire.decode_map(
            payload,
            "round manifest",
            fields=_FIELDS,
            optional=_TOO,
            max_bytes=MAX_BYTES,
            max_values=_MAX_VALUES,
        )
        plan = wire.typed(fields["plan"], dict, "round plan")
        return cls(
            job=read_job(fields["job"], "manifest job"),
            run=wire.octets(fields["run"], RUN_BYTES, "manifest run"),
            round=RoundId(wire.bounded(fields["round"], 0, MAX_ROUND, "manifest round")),
            sequence=wire.bounded(fields["sequence"], 0, 2**63 - 1, "manifest sequence"),
            kind=_one_of(RoundKind, fields["kind"]),
            state=_one_of(RoundState, fields["state"]),
            artifact=BlobRef.from_wire(fields["artifact"], "manifest artifact"),
            model=BlobRef.from_wire(fields["model"], "manifest model"),
            catch_up=_catch_ups(fields["catch_up"]),
            plan=Plan.from_wire(plan),
            deadline_s=_duration(fields["deadline_s"]),
            parts=wire.bounded(fields["parts"], 1, MAX_PARTS, "manifest parts"),
            wants_facts=wire.typed(fields.get("wants_facts", False), bool, "manifest facts"),
            server=ServerRef.from_wire(fields["server"]) if "server" in fields else None,
        )


def _catch_ups(value: object) -> tuple[CatchUp, ...]:
    ways = wire.typed(value, list, "manifest catch-up")
    if len(ways) > _MAX_CATCH_UPS:
        raise PayloadError(
            "manifest catch-up", expected=f"at most {_MAX_CATCH_UPS}", found=len(ways)
        )
    return tuple(map(CatchUp.from_wire, ways))


def _duration(value: object) -> float:
    number = float(value) if type(value) in {int, float} else math.nan  # type: ignore[arg-type] # one of the two
    if not 0 < number <= MAX_DEADLINE_S:
        raise PayloadError("manifest deadline", expected="seconds up to a year", found=number)
    return number


def _one_of(kind: type[RoundKind] | type[RoundState], value: object) -> Any:
    try:
        return kind(wire.typed(value, str, "round manifest"))
    except ValueError:
        expected = ", ".join(member.value for member in kind)
        raise PayloadError("round manifest", expected=expected, found=ascii(value)[:40]) from None
