"""What an artifact says about itself: a frozen value, and its canonical JSON."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from fedge.artifact import records
from fedge.artifact.layout import (
    FORMAT_VERSION,
    MAX_PARAMS,
    Layout,
    Slot,
    check_layout,
    check_name,
    check_shape,
    n_params,
    schema_hash,
)
from fedge.errors import ArtifactError

Standardize = Literal["none", "given", "federated"]

LOSSES = ("cross_entropy", "mse", "binary_cross_entropy")
DTYPES = ("float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")
MAX_BATCH = 2**16
MAX_INPUTS = 64
MAX_DROPOUT = 2**12
MAX_MEMORY = 2**34  # bytes of buffers: a batch with targets, scores and factors, and parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """One input of the model; `shape` leaves out the batch axis.

    `standardize` says where the mean and scale that the graph applies first come from: there are
    none, the caller of the builder gave them, or the fleet finds them in a statistics round.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    standardize: Standardize = "none"

    @property
    def mean_slot(self) -> str:
        return f"{self.name}.fedge.mean"

    @property
    def scale_slot(self) -> str:
        return f"{self.name}.fedge.scale"

    @property
    def statistic_shape(self) -> tuple[int, ...]:
        """Shape of mean and scale."""
        return _statistic_shape(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpec:
    """What the loss compares the scores with; `shape` leaves out the batch axis.

    `n_classes` bounds class indices; None if targets are not classes. If `standardize` is
    "federated", a statistics round finds the mean and the standard deviation in whose units
    training compares, and by which evaluation and inference scale their scores. The JSON has no
    such key if it is "none".
    """

    dtype: str
    shape: tuple[int, ...]
    n_classes: int | None
    standardize: Standardize = "none"

    @property
    def name(self) -> str:
        """The name statistics are reported under; no input can have it."""
        return "fedge.target"

    @property
    def mean_slot(self) -> str:
        return "target.fedge.centre"

    @property
    def scale_slot(self) -> str:
        """The slot of the deviation itself; an input's holds the inverse."""
        return "target.fedge.spread"

    @property
    def statistic_shape(self) -> tuple[int, ...]:
        return _statistic_shape(self.shape)


def _statistic_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """One per feature, or one per channel (C, 1, ..) from rank 2 on."""
    return shape if len(shape) < 2 else (shape[0], *[1] * (len(shape) - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class DropoutSpec:
    """One place where training drops activations.

    Attributes:
        ratio: the probability that an element is dropped, 0 <= ratio < 1.
        size: number of elements in a whole batch, each dropped or kept independently.
    """

    ratio: float
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The facts that training needs in addition to the graphs.

    `dropout` is in the order in which `fedge.dropout` holds its factors. If it is empty, the
    training graph has no such input and the JSON no such key.

    Raises:
        ArtifactError: on construction, if the facts contradict each other.
    """

    batch_size: int
    loss: str
    opset: int
    inputs: tuple[InputSpec, ...]
    target: TargetSpec
    layout: Layout
    dropout: tuple[DropoutSpec, ...] = ()
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        _within("format version", self.format_version, FORMAT_VERSION, FORMAT_VERSION)
        _within("batch size", self.batch_size, 1, MAX_BATCH)
        _within("opset", self.opset, 1, 64)
        _within("number of inputs", len(self.inputs), 1, MAX_INPUTS)
        _one_of("loss", self.loss, LOSSES)
        check_layout(self.layout)
        _check_target(self)
        _check_inputs(self)
        _check_dropout(self.dropout)
        _within("bytes of buffers", self.memory_bytes, 0, MAX_MEMORY)

    @property
    def memory_bytes(self) -> int:
        """Memory that training needs in addition to its graphs, whatever the file's own size.

        Parameters count four times: global model, local parameters, gradient and momentum.
        """
        rows = sum(_element_bytes(one.dtype) * math.prod(one.shape) for one in self.inputs)
        answers = (8 + 4 * (self.target.n_classes or 1)) * math.prod(self.target.shape)
        factors = sum(spec.size for spec in self.dropout)
        return self.batch_size * (rows + answers) + 4 * factors + 16 * n_params(self.layout)

    def to_json(self, hashes: Mapping[str, str]) -> bytes:
        """Canonical JSON with sorted keys and no spaces; `hashes` is the SHA-256 of each member."""
        facts = asdict(self)
        if not self.dropout:
            del facts["dropout"]
        if self.target.standardize == "none":
            del facts["target"]["standardize"]
        record = {**facts, "members": dict(hashes), "schema": schema_hash(self.layout).hex()}
        return json.dumps(record, sort_keys=True, separators=(",", ":")).encode("ascii")

    @classmethod
    def from_json(cls, data: bytes) -> tuple["Manifest", dict[str, str]]:
        """The manifest and the members' hashes.

        Only the canonical form is accepted: `to_json` writes back what this reads byte for byte, so
        unknown or repeated keys and a schema hash of another layout are refused too.

        Raises:
            ArtifactError: for anything else.
        """
        record = records.parse(data, "manifest.json")
        drops = isinstance(record, dict) and "dropout" in record
        types = _MANIFEST | {"dropout": list} if drops else _MANIFEST
        fields = records.fields(record, "manifest", types)
        hashes = fields.pop("members")
        members = records.fields(hashes, "members", dict.fromkeys(hashes, str))
        fields.pop("schema")
        fields["inputs"] = tuple(_input(item) for item in fields["inputs"])
        fields["target"] = _target(fields["target"])
        fields["layout"] = tuple(_slot(item) for item in fields["layout"])
        fields["dropout"] = tuple(_dropout(item) for item in fields.get("dropout", ()))
        manifest = cls(**fields)
        if manifest.to_json(members) != data:
            raise ArtifactError(
                "manifest.json", expected="canonical JSON with its own schema hash", found="another"
            )
        return manifest, members


_MANIFEST = {
    "format_version": int,
    "batch_size": int,
    "loss": str,
    "opset": int,
    "inputs": list,
    "target": dict,
    "layout": list,
    "members": dict,
    "schema": str,
}


def _input(item: object) -> InputSpec:
    types = {"name": str, "dtype": str, "shape": list, "standardize": str}
    return InputSpec(**records.fields(item, "input", types))


def _target(item: object) -> TargetSpec:
    classes = int if isinstance(item, dict) and item.get("n_classes") is not None else type(None)
    types = {"dtype": str, "shape": list, "n_classes": classes}
    if isinstance(item, dict) and "standardize" in item:
        types["standardize"] = str
    return TargetSpec(**records.fields(item, "target", types))


def _dropout(item: object) -> DropoutSpec:
    return DropoutSpec(**records.fields(item, "dropout", {"ratio": float, "size": int}))


def _slot(item: object) -> Slot:
    types = {"name": str, "shape": list, "offset": int, "trainable": bool, "kind": str}
    return Slot(**records.fields(item, "slot", types))


def _element_bytes(dtype: str) -> int:
    """Size of one number of this type; the name ends in its bits."""
    digits = dtype.lstrip("abcdefghijklmnopqrstuvwxyz")
    return int(digits) // 8 if digits else 1  # bool


def _within(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ArtifactError(what, expected=f"{low} to {high}", found=value)


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ArtifactError(what, expected=", ".join(known), found=ascii(value[:40]))


def _check_target(manifest: Manifest) -> None:
    target = manifest.target
    is_class = manifest.loss == "cross_entropy"
    _check_batch("target", target.shape, manifest.batch_size)
    _one_of("dtype of target", target.dtype, ("int64",) if is_class else ("float32",))
    if is_class != (target.n_classes is not None):
        raise ArtifactError(
            "n_classes", expected="a number with cross_entropy only", found=target.n_classes
        )
    _one_of("standardize of target", target.standardize, ("none", "federated"))
    if target.standardize != "none":
        _one_of("loss of a standardised target", manifest.loss, ("mse",))
        _check_statistics(target, {slot.name: slot.shape for slot in manifest.layout})
    if target.n_classes is not None:
        _check_batch("scores", (target.n_classes, *target.shape), manifest.batch_size)


def _check_inputs(manifest: Manifest) -> None:
    shapes = {slot.name: slot.shape for slot in manifest.layout}
    names = [spec.name for spec in manifest.inputs]
    if len(set(names) | set(shapes)) != len(names) + len(shapes):
        raise ArtifactError("names of inputs", expected="each used once", found=names[:20])
    for spec in manifest.inputs:
        check_name(spec.name)
        _check_batch(spec.name, spec.shape, manifest.batch_size)
        _one_of(f"dtype of {spec.name}", spec.dtype, DTYPES)
        _one_of(f"standardize of {spec.name}", spec.standardize, get_args(Standardize))
        if spec.standardize != "none":
            _check_statistics(spec, shapes)


def _check_dropout(specs: tuple[DropoutSpec, ...]) -> None:
    _within("number of dropouts", len(specs), 0, MAX_DROPOUT)
    for spec in specs:
        _within("size of dropout", spec.size, 1, MAX_PARAMS)
        if not 0 <= spec.ratio < 1:
            raise ArtifactError("ratio of dropout", expected="0 to below 1", found=spec.ratio)
    _within("elements of dropout", sum(spec.size for spec in specs), 0, MAX_PARAMS)


def _check_batch(what: str, shape: tuple[int, ...], batch_size: int) -> None:
    check_shape(what, shape)
    _within(f"elements in a batch of {what}", math.prod(shape) * batch_size, 1, MAX_PARAMS)


def _check_statistics(spec: InputSpec | TargetSpec, shapes: Mapping[str, tuple[int, ...]]) -> None:
    for slot in (spec.mean_slot, spec.scale_slot):
        if shapes.get(slot) != spec.statistic_shape:
            raise ArtifactError(
                f"slot {slot}", expected=f"shape {spec.statistic_shape}", found=shapes.get(slot)
            )
