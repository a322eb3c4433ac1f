"""What an exporter left written in a model about where a tensor comes from.

torch's newer exporter notes of each stored tensor whether it is a parameter or a buffer of the
module, and of each node the traced call, with the names of the parameters that it was given.
The older one keeps the names of the module's state and writes other tensors as Constant nodes.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import onnx

_KIND = "pkg.torch.export.graph_signature.InputSpec.kind"
_PLACEHOLDER = "pkg.torch.onnx.original_node_name"
_CALL = "pkg.torch.onnx.fx_node"
_SCOPES = "pkg.torch.onnx.name_scopes"

Told = Literal["parameter", "buffer"]
_TOLD: dict[str, Told] = {
    "PARAMETER": "parameter",
    "BUFFER": "buffer",
    "CONSTANT_TENSOR": "buffer",
}


@dataclass(frozen=True, slots=True)
class Exporter:
    """What is known of a model's tensors by name."""

    told: dict[str, Told]
    placeholders: dict[str, str]  # what the traced calls name a tensor
    is_torch: bool


def read_exporter(model: onnx.ModelProto) -> Exporter:
    """Collects what the model says; a model that says nothing gives empty tables."""
    notes = {info.name: _notes(info.metadata_props) for info in model.graph.value_info}
    kinds = {name: found.get(_KIND, "") for name, found in notes.items()}
    called = {name: found.get(_PLACEHOLDER, "") for name, found in notes.items()}
    return Exporter(
        told={name: _TOLD[kind] for name, kind in kinds.items() if kind in _TOLD},
        placeholders={name: known for name, known in called.items() if known},
        is_torch=model.producer_name == "pytorch",
    )


def named_parameters(node: onnx.NodeProto) -> frozenset[str]:
    """The parameters given to the call that became this node, as the trace names them."""
    return frozenset(re.findall(r"%(p_\w+)", call_of(node)))


def call_of(node: onnx.NodeProto) -> str:
    """The traced call that became this node, maybe with others; "" if not noted."""
    return _notes(node.metadata_props).get(_CALL, "")


def scope(node: onnx.NodeProto) -> str:
    """The module that the node belongs to, as in `encoder.layers.0.norm1`; "" if not noted."""
    found = re.findall(r"'([^']*)'", _notes(node.metadata_props).get(_SCOPES, ""))
    return str(found[-2]) if len(found) > 1 else ""


def _notes(properties: Iterable[onnx.StringStringEntryProto]) -> dict[str, str]:
    return {entry.key: entry.value for entry in properties}
