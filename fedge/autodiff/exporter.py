"""What an exporter noted in a model about where its tensors come from.

For each stored tensor, torch's newer exporter notes whether it is a parameter or a buffer of the
module, and for each node the traced call with the names of the parameters passed to it. The older
one keeps the names of the module's state and writes all other tensors as Constant nodes.
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

Role = Literal["parameter", "buffer"]
_ROLES: dict[str, Role] = {
    "PARAMETER": "parameter",
    "BUFFER": "buffer",
    "CONSTANT_TENSOR": "buffer",
}


@dataclass(frozen=True, slots=True)
class Exporter:
    """What is known about a model's tensors, by name."""

    roles: dict[str, Role]
    placeholders: dict[str, str]  # the traced calls' name for each tensor
    is_torch: bool


def read_exporter(model: onnx.ModelProto) -> Exporter:
    """Collects the notes in a model; one without notes gives empty tables."""
    notes = {info.name: _notes(info.metadata_props) for info in model.graph.value_info}
    kinds = {name: found.get(_KIND, "") for name, found in notes.items()}
    called = {name: found.get(_PLACEHOLDER, "") for name, found in notes.items()}
    return Exporter(
        roles={name: _ROLES[kind] for name, kind in kinds.items() if kind in _ROLES},
        placeholders={name: known for name, known in called.items() if known},
        is_torch=model.producer_name == "pytorch",
    )


def named_parameters(node: onnx.NodeProto) -> frozenset[str]:
    """The parameters passed to the call that became this node, as the trace names them."""
    return frozenset(re.findall(r"%(p_\w+)", call_of(node)))


def call_of(node: onnx.NodeProto) -> str:
    """The traced call that became this node, perhaps among others; "" if not noted."""
    return _notes(node.metadata_props).get(_CALL, "")


def scope(node: onnx.NodeProto) -> str:
    """The module that the node belongs to, as in `encoder.layers.0.norm1`; "" if not noted."""
    found = re.findall(r"'([^']*)'", _notes(node.metadata_props).get(_SCOPES, ""))
    return str(found[-2]) if len(found) > 1 else ""


def _notes(properties: Iterable[onnx.StringStringEntryProto]) -> dict[str, str]:
    return {entry.key: entry.value for entry in properties}
