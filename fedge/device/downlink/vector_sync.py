"""The aggregator's vectors that a round's algorithm needs besides the model."""

from fedge.messages import BlobRef, RoundManifest, ServerVectors
from fedge.types import Vector


class VectorSync:
    """Those of the last round, in memory only: every round brings others."""

    def __init__(self) -> None:
        self._ref: BlobRef | None = None
        self._data = b""

    def wanted(self, manifest: RoundManifest) -> BlobRef | None:
        """What to fetch for this round; None: nothing, or it is here."""
        ref = None if manifest.server is None else manifest.server.vectors
        return None if ref == self._ref else ref

    def take(self, manifest: RoundManifest, ref: BlobRef, data: bytes) -> bool:
        """Keep a blob of this round if it is one of vectors; its hash has been checked."""
        if ref != self.wanted(manifest):
            return False
        self._ref, self._data = ref, data
        return True

    def get(self, manifest: RoundManifest, n_trainable: int) -> dict[str, Vector]:
        """The vectors of this round, which is not waiting for any, float32 (n_trainable,) each.

        Raises:
            PayloadError: if they cannot be decoded or have another size.
        """
        if manifest.server is None or manifest.server.vectors is None:
            return {}
        return ServerVectors.from_bytes(self._data).decode(n_trainable)
