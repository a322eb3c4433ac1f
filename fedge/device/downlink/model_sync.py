"""Global models on a device: which ones are here, and the cheapest way to the one needed.

All devices hold the same model in a round, so the SHA-256 in the manifest is the test of the
result, however it was reached. Broadcasts that do not lead to it are not tried again; the whole
model is fetched instead.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from fedge import codecs
from fedge.artifact import Artifact
from fedge.device.state.answers import Answer
from fedge.device.state.cache import BlobCache
from fedge.errors import PayloadError
from fedge.logs import logger
from fedge.messages import BlobRef, Broadcasts, RoundManifest
from fedge.training.statistics import federated
from fedge.types import RoundId

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class _Way:
    """Broadcasts to fetch, the model to add them to, and how many of them (the last) to use."""

    blob: BlobRef
    base: BlobRef
    n_rounds: int


class ModelSync:
    """The models of one run of an artifact.

    Args:
        cache: where they are kept.
        artifact: the one being trained; its own parameters need not be fetched.
        answered: the last round answered, whose model may be in the cache.
    """

    def __init__(self, cache: BlobCache, artifact: Artifact, answered: Answer | None) -> None:
        self._cache, self._artifact = cache, artifact
        self._initial = artifact.parameters.astype("<f4", copy=False).tobytes()
        first = hashlib.sha256(self._initial).digest()
        self._first = Answer(RoundId(0 if federated(artifact.manifest) else 1), first)
        self._newest = answered or self._first
        self._misleading: BlobRef | None = None  # the model that broadcasts failed to reach

    def forget(self) -> None:
        """Another run has begun, of which only the first model is known."""
        self._newest, self._misleading = self._first, None

    def get(self, manifest: RoundManifest) -> bytes | None:
        """The model of this round, if it is here."""
        data = self._read(manifest.model)
        if data is not None:
            self._newest = Answer(manifest.round, manifest.model.sha256)
        return data

    def wanted(self, manifest: RoundManifest) -> BlobRef:
        """What to fetch for it: broadcasts that lead to it from a model here, or all of it."""
        way = self._way(manifest)
        return manifest.model if way is None else way.blob

    def take(self, manifest: RoundManifest, ref: BlobRef, data: bytes) -> None:
        """Keep a blob fetched for this round; its hash has been checked."""
        way = self._way(manifest)
        if ref == manifest.model:
            self._cache.put(ref, data)
        elif way is not None and ref == way.blob:
            self._follow(way, data, manifest.model)

    def _way(self, manifest: RoundManifest) -> _Way | None:
        """The shortest way from the newest model here, if it is smaller than the whole model."""
        model = manifest.model
        base = BlobRef(self._newest.model_sha256, len(self._initial))
        n_rounds = _n_models(manifest, self._newest.round)
        if n_rounds < 1 or model == self._misleading or not self._has(base):
            return None
        reaching = [way.blob for way in manifest.catch_up if way.n_rounds >= n_rounds]
        blob = min(reaching, key=lambda blob: blob.size_bytes, default=model)
        return _Way(blob, base, n_rounds) if blob.size_bytes < model.size_bytes else None

    def _follow(self, way: _Way, data: bytes, goal: BlobRef) -> None:
        try:
            model = self._after(way, data)
        except PayloadError as error:
            _log.warning("broadcasts cannot be used: %s", error)
        else:
            if hashlib.sha256(model).digest() == goal.sha256:
                self._cache.put(goal, model)
                return
            _log.warning("broadcasts do not lead to the model %s; it is fetched whole", goal.key)
        self._misleading = goal

    def _after(self, way: _Way, data: bytes) -> bytes:
        """The model that the broadcasts lead to."""
        payloads = Broadcasts.from_bytes(data).payloads
        before = self._read(way.base)
        if before is None:
            raise PayloadError("model in the cache", expected=way.base.key, found="a damaged one")
        values = np.frombuffer(before, "<f4").astype(np.float32)
        for payload in payloads[-way.n_rounds :]:
            codecs.accumulate(payload, 1.0, values[: self._artifact.n_trainable])
        return values.astype("<f4", copy=False).tobytes()

    def _has(self, ref: BlobRef) -> bool:
        return ref.sha256 == self._first.model_sha256 or self._cache.has(ref)

    def _read(self, ref: BlobRef) -> bytes | None:
        return self._initial if ref.sha256 == self._first.model_sha256 else self._cache.get(ref)


def _n_models(manifest: RoundManifest, since: RoundId) -> int:
    """How many models were made since a round began; not every round makes one."""
    n_rounds = manifest.round - since
    return n_rounds - sum(ago <= n_rounds for ago in manifest.unchanged)
