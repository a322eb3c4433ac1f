"""Which round this device answered last."""

from dataclasses import dataclass

from fedge.types import RoundId


@dataclass(frozen=True, slots=True)
class Answer:
    """The round answered last, and for which model; it survives a restart."""

    round: RoundId
    model_sha256: bytes
