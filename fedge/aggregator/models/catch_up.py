"""Blobs that lead from the models of earlier rounds to the current one."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Self

from fedge.messages import BlobRef, Broadcasts, CatchUp
from fedge.messages.manifest import MAX_UNCHANGED
from fedge.types import RoundId

# A device that is a few rounds behind takes the smallest bundle that reaches back far enough, so
# it downloads at most eight times what it needs, in one request.
SPANS = (1, 8, 64)
KEPT = max(SPANS)  # broadcasts


@dataclass(frozen=True, slots=True)
class Bundle:
    """The last broadcasts as one blob, and how the manifest names it."""

    entry: CatchUp
    data: bytes

    @classmethod
    def of(cls, payloads: Sequence[bytes]) -> Self:
        """All of these, oldest first."""
        data = Broadcasts(payloads).to_bytes()
        blob = BlobRef(hashlib.sha256(data).digest(), len(data))
        return cls(CatchUp(len(payloads), blob), data)


def bundles(payloads: Sequence[bytes], model_bytes: int) -> tuple[Bundle, ...]:
    """The bundles that are smaller than the model itself, shortest first.

    Args:
        payloads: the last broadcasts, oldest first, each leading to the next one's start.
        model_bytes: size of the whole model.
    """
    spans = sorted({min(span, len(payloads)) for span in SPANS} - {0})
    found = (Bundle.of(payloads[-span:]) for span in spans)
    return tuple(bundle for bundle in found if len(bundle.data) < model_bytes)


def unchanged(round_: RoundId, made: Collection[RoundId]) -> tuple[int, ...]:
    """How many rounds ago there were rounds that made no model, the last first.

    Args:
        round_: the one to count from.
        made: the rounds that made the last models, at least as many as broadcasts are kept.
    """
    first = min(made, default=round_)
    gaps = (round_ - one for one in range(round_ - 1, first, -1) if one not in made)
    return tuple(islice(gaps, MAX_UNCHANGED))
