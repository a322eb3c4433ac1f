"""What a manifest contains, and what it refuses to contain."""

import dataclasses
import hashlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.artifact.layout import arrange
from fedge.artifact.manifest import DropoutSpec, InputSpec, Manifest, TargetSpec
from fedge.errors import ArtifactError
from tests.support import models

HASHES = {"train.onnx": "00", "eval.onnx": "11"}
MANIFEST = models.linear().manifest
DROPPING = dataclasses.replace(
    MANIFEST, dropout=(DropoutSpec(ratio=0.5, size=8), DropoutSpec(ratio=0.0, size=1))
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def standardized(shape: tuple[int, ...], statistic: tuple[int, ...]) -> Manifest:
    """A manifest whose input is standardised by slots of the given shape."""
    layout = arrange(
        [
            ("w", (3,), True, "weight"),
            ("x.fedge.mean", statistic, False, "statistic"),
            ("x.fedge.scale", statistic, False, "statistic"),
        ]
    )
    spec = InputSpec(name="x", dtype="float32", shape=shape, standardize="federated")
    return dataclasses.replace(MANIFEST, inputs=(spec,), layout=layout)


def test_json_is_the_documented_text() -> None:
    manifest = Manifest(
        batch_size=4,
        loss="cross_entropy",
        opset=18,
        inputs=(InputSpec(name="x", dtype="float32", shape=(2,)),),
        target=TargetSpec(dtype="int64", shape=(), n_classes=3),
        layout=arrange([("w", (2, 3), True, "weight")]),
    )
    record = json.loads(manifest.to_json({"train.onnx": "ab"}))
    assert record.pop("schema") == manifest_schema(manifest)
    assert record == {
        "format_version": 1,
        "batch_size": 4,
        "loss": "cross_entropy",
        "opset": 18,
        "inputs": [{"name": "x", "dtype": "float32", "shape": [2], "standardize": "none"}],
        "target": {"dtype": "int64", "shape": [], "n_classes": 3},
        "layout": [
            {"name": "w", "shape": [2, 3], "offset": 0, "trainable": True, "kind": "weight"}
        ],
        "members": {"train.onnx": "ab"},
    }


def test_the_json_has_a_dropout_key_only_if_there_is_dropout() -> None:
    """An artifact without dropout has the same bytes as before dropout existed."""
    without, dropping = (json.loads(m.to_json(HASHES)) for m in (MANIFEST, DROPPING))
    assert dropping.pop("dropout") == [{"ratio": 0.5, "size": 8}, {"ratio": 0.0, "size": 1}]
    assert dropping == without  # the same schema too: updates of both have the same form


def manifest_schema(manifest: Manifest) -> str:
    slots = [[s.name, list(s.shape), "float32", s.trainable] for s in manifest.layout]
    return hashlib.sha256(json.dumps([1, slots], separators=(",", ":")).encode()).hexdigest()


@pytest.mark.parametrize(
    "manifest", [MANIFEST, DROPPING, models.softmax().manifest, standardized((5,), (5,))]
)
def test_a_manifest_survives_its_json(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json(HASHES)) == (manifest, HASHES)


@pytest.mark.parametrize(
    ("shape", "statistic"), [((), ()), ((5,), (5,)), ((2, 7), (2, 1)), ((3, 8, 8), (3, 1, 1))]
)
def test_statistics_are_one_per_feature_or_one_per_channel(
    shape: tuple[int, ...], statistic: tuple[int, ...]
) -> None:
    assert standardized(shape, statistic).inputs[0].statistic_shape == statistic


def test_standardization_without_its_slots_is_refused() -> None:
    with pytest.raises(ArtifactError, match=r"x\.fedge\.mean"):
        standardized((5,), (4,))


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 0},
        {"batch_size": 2**16 + 1},
        {"format_version": 2},
        {"loss": "hinge"},
        {"opset": 0},
        {"inputs": ()},
        {"inputs": MANIFEST.inputs * 2},
        {"inputs": (InputSpec(name="w", dtype="float32", shape=(2,)),)},
        {"inputs": (InputSpec(name="fedge.x", dtype="float32", shape=(2,)),)},
        {"inputs": (InputSpec(name="x", dtype="object", shape=(2,)),)},
        {"inputs": (InputSpec(name="x", dtype="float32", shape=(2**28,)),)},
        {"inputs": (InputSpec(name="x", dtype="float32", shape=(), standardize="twice"),)},  # type: ignore[arg-type]
        {"dropout": (DropoutSpec(ratio=1.0, size=1),)},
        {"dropout": (DropoutSpec(ratio=-0.1, size=1),)},
        {"dropout": (DropoutSpec(ratio=math.nan, size=1),)},
        {"dropout": (DropoutSpec(ratio=0.5, size=0),)},
        {"dropout": (DropoutSpec(ratio=0.5, size=2**29 + 1),)},
        {"dropout": (DropoutSpec(ratio=0.5, size=2**28),) * 3},
        {"dropout": (DropoutSpec(ratio=0.5, size=1),) * (2**12 + 1)},
        {"target": TargetSpec(dtype="int64", shape=(1,), n_classes=None)},
        {"target": TargetSpec(dtype="float32", shape=(1,), n_classes=2)},
        {"target": TargetSpec(dtype="float32", shape=(0,), n_classes=None)},
        {"loss": "cross_entropy", "target": TargetSpec(dtype="int64", shape=(), n_classes=0)},
        {"loss": "cross_entropy", "target": TargetSpec(dtype="int64", shape=(), n_classes=2**28)},
        {"loss": "cross_entropy", "target": TargetSpec(dtype="int64", shape=(), n_classes=None)},
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError):
        dataclasses.replace(MANIFEST, **changes)


def test_buffers_are_bounded_by_their_size_in_memory() -> None:
    """Batch 4, x (2,) and target (1,): each example 8 bytes, 8 and 4; two weights and a bias."""
    assert MANIFEST.memory_bytes == 4 * (8 + 8 + 4) + 16 * 3
    assert DROPPING.memory_bytes == MANIFEST.memory_bytes + 4 * 9
    wide = tuple(InputSpec(name=f"x{i}", dtype="float64", shape=(2**27,)) for i in range(5))
    with pytest.raises(ArtifactError, match="bytes of buffers"):
        dataclasses.replace(MANIFEST, inputs=wide)


def test_only_canonical_json_is_accepted() -> None:
    data = MANIFEST.to_json(HASHES)
    for other in (
        data.replace(b":", b": ", 1),
        data.replace(b'{"batch_size":4', b'{"batch_size":5,"batch_size":4'),
        data.replace(b'"opset":18', b'"opset":18.0'),
        data.replace(b'"schema":"', b'"schema":"0'),
        data[:-1] + b',"zebra":1}',
        data.replace(b'"format_version"', b'"dropout":[],"format_version"'),
        DROPPING.to_json(HASHES).replace(b"0.5", b"0.50"),
        DROPPING.to_json(HASHES).replace(b'"size":1', b'"size":true'),
        DROPPING.to_json(HASHES).replace(b'"ratio":0.0', b'"ratio":0'),
        DROPPING.to_json(HASHES).replace(b'"ratio":0.0', b'"ratio":NaN'),
        b"[" * 100_000,
        b'{"batch_size":' + b"9" * 5000 + b"}",
        b"\xff\xfe",
        b"",
    ):
        with pytest.raises(ArtifactError):
            Manifest.from_json(other)


@given(st.data())
def test_any_value_in_any_place_is_accepted_whole_or_refused(data: st.DataObject) -> None:
    record = json.loads(data.draw(st.sampled_from([MANIFEST, DROPPING])).to_json(HASHES))
    place, key = record, data.draw(st.sampled_from(sorted(record)))
    while isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
        place = place[key]
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(keys))
    place[key] = data.draw(json_values)
    text = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    try:
        manifest, hashes = Manifest.from_json(text)
    except ArtifactError:
        return
    assert manifest.to_json(hashes) == text
