"""What a device is doing, as values, and how the news from the aggregator changes it.

    Idle ──► Fetching ──► Training ──► Answered
      ▲                                   │ the next round
      └───────────────────────────────────┘

A manifest of a newer round leads from every phase to `Fetching`, one that
closes the round to `Idle`, one that ends the job to `Finished`. Sending is no
phase: what was trained lies in the outbox, and goes out whatever comes next.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias

from fedge.device.state.answers import Answer
from fedge.messages import RoundManifest, RoundState


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing to do until the next manifest; why, in a few words."""

    why: str = "waiting for a round"


@dataclass(frozen=True, slots=True)
class Fetching:
    """The round wants an artifact or a model that is not here yet."""

    manifest: RoundManifest


@dataclass(frozen=True, slots=True)
class Training:
    """Local steps are under way; none of them has left the device."""

    manifest: RoundManifest
    n_steps: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to this round is in the outbox, or with the aggregator already."""

    manifest: RoundManifest


@dataclass(frozen=True, slots=True)
class Finished:
    """The job has no further round. Another job may follow under its name."""


Phase: TypeAlias = Idle | Fetching | Training | Answered | Finished


def heed(phase: Phase, manifest: RoundManifest, answered: Answer | None = None) -> Phase:
    """The phase after a manifest has been read.

    Args:
        phase: the phase before.
        manifest: what was read; it is of this device's job and no replay.
        answered: the last round this device answered.
    """
    if manifest.state is RoundState.FINISHED:
        return Finished()
    if manifest.state is RoundState.CLOSED:
        return Idle(f"round {manifest.round} is closed")
    if answered == Answer(manifest.round, manifest.model.sha256):
        return Answered(manifest)
    if isinstance(phase, Fetching | Training) and is_same_work(phase.manifest, manifest):
        return replace(phase, manifest=manifest)
    return Fetching(manifest)


def is_same_work(one: RoundManifest, other: RoundManifest) -> bool:
    """Whether both ask for the same: an aggregator that restarts announces its round again."""
    return replace(one, sequence=0, deadline_s=1.0) == replace(other, sequence=0, deadline_s=1.0)
