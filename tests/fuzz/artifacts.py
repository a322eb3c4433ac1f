"""Artifacts: a zip of five members, with correct checksums and hashes."""

import hashlib
import json
import random
import struct
from dataclasses import replace
from typing import Any

import numpy as np

from fedge.artifact import Artifact, DropoutSpec, container
from fedge.artifact.artifact import MEMBERS
from fedge.errors import ArtifactError
from fedge.messages.statistics import max_bytes
from tests.fuzz.models import ARTIFACT, MANIFEST
from tests.fuzz.target import Change, Target, read

_FACTOR = 128  # times the input's size: JSON values, and copies of the parameters
_EDGES: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 2, 2**16, 2**29, 2**29 + 1, 2**63, 10**400, 0.0, 0.5, 1.0, 1e308),
    *("", "mse", "cross_entropy", "float32", "int64", "federated", "weight", "fedge.x", "\n"),
    *("w", "x" * 1025, [], [0], [1], [2**29], [1] * 17, [[]], {}, [None]),
)


def check(data: bytes) -> bool:
    """The bytes are an artifact that saves to the same bytes and exports, or are refused."""
    most_bytes = _FACTOR * len(data)
    artifact = read(lambda: Artifact.from_bytes(data), (ArtifactError,), most_bytes=most_bytes)
    if artifact is None:
        return False
    assert artifact.to_bytes() == data
    assert np.isfinite(artifact.parameters).all()
    assert not artifact.parameters.flags.writeable
    assert artifact.parameters.size == sum(slot.size for slot in artifact.layout)
    assert len(artifact.schema) == 32
    assert max_bytes(artifact.manifest) > 0
    read(lambda: artifact.to_onnx(artifact.parameters), (ArtifactError,), most_bytes=most_bytes)
    return True


def mutate(data: bytes, rng: random.Random, change: Change) -> bytes:
    """Changes one member, and updates the checksums in the archive and the manifest."""
    members = split(data)
    if members is None or rng.randrange(8) == 0:
        return change(data)
    which = rng.choice((0, 0, 1, 1, 2, 3, 4))
    if which == 0 and rng.randrange(3):
        members[0] = _with_field(members[0], rng)
    else:
        members[which] = change(members[which])
    return joined(members) + rng.choice((b"", b"", b"", b"\0"))


def split(data: bytes) -> list[bytes] | None:
    """The five members, whatever their checksums say; None if their headers cannot be followed."""
    members, position = [], 0
    for _ in MEMBERS:
        header = data[position : position + 30]
        if len(header) < 30:
            return None
        size, n_name, n_extra = struct.unpack_from("<I4x2H", header, 18)
        start = position + 30 + n_name + n_extra
        position = start + size
        members.append(data[start:position])
    return members


def joined(members: list[bytes]) -> bytes:
    """An archive whose hashes are correct if the manifest can be read."""
    try:
        facts = json.loads(members[0])
        facts["members"] = {
            name: hashlib.sha256(data).hexdigest()
            for name, data in zip(MEMBERS[1:], members[1:], strict=True)
        }
        slots = [[s["name"], s["shape"], "float32", s["trainable"]] for s in facts["layout"]]
        text = json.dumps([1, slots], separators=(",", ":"))
        facts["schema"] = hashlib.sha256(text.encode()).hexdigest()
        head = json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, TypeError, KeyError, RecursionError):
        head = members[0]
    return container.pack(list(zip(MEMBERS, [head, *members[1:]], strict=True)))


def _with_field(manifest: bytes, rng: random.Random) -> bytes:
    """The manifest with one value, at any depth, replaced, duplicated or removed."""
    try:
        facts = json.loads(manifest)
    except (ValueError, RecursionError):
        return manifest
    part = facts
    while isinstance(part, dict | list) and part:
        key = rng.choice(sorted(part) if isinstance(part, dict) else range(len(part)))
        if not isinstance(part[key], dict | list) or not part[key] or rng.randrange(4) == 0:
            _alter(part, key, rng)
            break
        part = part[key]
    return json.dumps(facts).encode()


def _alter(part: Any, key: Any, rng: random.Random) -> None:
    match rng.randrange(6):
        case 0:
            del part[key]
        case 1 if isinstance(part, list):
            part.insert(key, part[key])
        case 1:
            part["extra"] = part[key]
        case _:
            part[key] = rng.choice(_EDGES)


def seeds() -> dict[str, bytes]:
    """The small model, without and with dropout."""
    dropout = (DropoutSpec(ratio=0.5, size=12),)
    dropping = replace(ARTIFACT, manifest=replace(MANIFEST, dropout=dropout))
    return {"small": ARTIFACT.to_bytes(), "dropout": dropping.to_bytes()}


TARGET = Target("artifact", check, mutate, seeds, n_mutations=2000)
