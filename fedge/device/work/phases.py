"""What a device is doing, as values, and how a manifest from the aggregator changes it.

    Idle ──► Fetching ──► Training or Evaluating ──► Answered
      ▲                                                 │ the next round
      └─────────────────────────────────────────────────┘

A manifest of a newer round leads from every phase to `Fetching`, one that
closes the round to `Idle`, one that ends the job to `Finished`. Sending is not a
phase: results are in the outbox, and are sent whatever happens next.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias

from fedge.device.state.answers import Answer
from fedge.messages import RoundManifest, RoundState


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing to do until the next manifest, with the reason in a few words."""

    why: str = "waiting for a round"


@dataclass(frozen=True, slots=True)
class Fetching:
    """The round wants an artifact or a model that is not here yet."""

    manifest: RoundManifest


@dataclass(frozen=True, slots=True)
class Training:
    """Local steps are under way; nothing has left the device yet."""

    manifest: RoundManifest
    n_steps: int = 0


@dataclass(frozen=True, slots=True)
class Evaluating:
    """The round's model is being evaluated on the held-out examples; nothing has left yet."""

    manifest: RoundManifest
    n_steps: int = 0  # batches so far


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to this round is in the outbox, or has reached the aggregator."""

    manifest: RoundManifest


@dataclass(frozen=True, slots=True)
class Finished:
    """The job has no more rounds. Another job of the same name may follow."""


Phase: TypeAlias = Idle | Fetching | Training | Evaluating | Answered | Finished


def next_phase(phase: Phase, manifest: RoundManifest, answered: Answer | None = None) -> Phase:
    """The phase after reading a manifest.

    Args:
        phase: the phase before.
        manifest: the one just read; it belongs to this device's job and is not a replay.
        answered: the last round this device answered.
    """
    if manifest.state is RoundState.FINISHED:
        return Finished()
    if manifest.state is RoundState.CLOSED:
        return Idle(f"round {manifest.round} is closed")
    if answered == Answer(manifest.round, manifest.model.sha256):
        return Answered(manifest)
    if isinstance(phase, Fetching | Training | Evaluating) and is_same_work(
        phase.manifest, manifest
    ):
        return replace(phase, manifest=manifest)
    return Fetching(manifest)


def is_same_work(one: RoundManifest, other: RoundManifest) -> bool:
    """Whether both ask for the same work: a restarted aggregator announces its round again."""
    return replace(one, sequence=0, deadline_s=1.0) == replace(other, sequence=0, deadline_s=1.0)
