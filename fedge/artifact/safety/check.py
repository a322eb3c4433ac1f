"""Checks a graph before any engine sees it: what it is made of, and what it costs to run.

Whoever writes an artifact decides what a device runs. So a graph is refused here, from its bytes
and without the onnx package, unless it is plain arithmetic of a size known in advance:

- every tensor is stored inside the model, dense; nothing refers to a file
- operators are from the default domain; no functions of the model's own, no Loop, no If;
  a Scan runs along an axis of known size, and its state does not grow
- every value's shape follows from the graph's inputs and stored constants, by a rule for each
  operator; it has at most `MAX_ELEMENTS` elements, and all values of one run `MAX_TOTAL`
- one run takes at most `MAX_WORK` multiplications or moves, going by the same shapes
- there are at most `MAX_NODES` nodes and `MAX_FIELDS` protobuf fields

An inference graph has open sizes, and no device runs it. The same rules apply to it, except that
unknown sizes are allowed.
"""

from collections.abc import Collection, Iterator

from fedge.artifact.safety.messages import Model, Node, Reader
from fedge.artifact.safety.walk import Limits, Walk
from fedge.errors import ArtifactError

OPSET = 18  # of training graphs and of the rules
MAX_FIELDS = 2**18
MAX_NODES = 2**14
MAX_DEPTH = 4  # of nested graphs
MAX_ELEMENTS = 2**29  # of one value; as many as a model may have parameters
MAX_TOTAL = 2**32  # of all values of one run
MAX_WORK = 2**40  # multiplications or moves of one run: minutes on a small board

_DOMAINS = ("", "ai.onnx")
_LIMITS = Limits(elements=MAX_ELEMENTS, total=MAX_TOTAL, work=MAX_WORK)


def check_graph(
    model: bytes,
    what: str,
    *,
    is_sized: bool = True,
    others: Collection[tuple[str, str]] = (),
) -> None:
    """Refuses a graph that an engine should not be given.

    Args:
        model: a serialised ModelProto.
        what: its name, for the sentence.
        is_sized: whether every size must be known, as in the graphs that devices run.
        others: domain and name of operators allowed in addition to the default domain's.

    Raises:
        ArtifactError: naming what is wrong, and the node where it is.
    """
    try:
        found = _read(model)
        _check_parts(found, others)
        if is_sized:
            _check_opset(found)
        Walk(_LIMITS, is_strict=is_sized).run(found.graph)
    except ArtifactError as error:
        name = f"{what}, {error.what}"
        raise ArtifactError(name, expected=error.expected, found=error.found) from None


def check_storage(model: bytes) -> None:
    """Refuses a model, whatever it computes, unless all its tensors are stored in it and dense.

    Attributes, nested graphs and the model's own functions are searched too.

    Raises:
        ArtifactError: naming the tensor.
    """
    _read(model)


def _read(model: bytes) -> Model:
    return Reader(max_fields=MAX_FIELDS, max_depth=MAX_DEPTH).model(memoryview(model))


def _check_parts(model: Model, others: Collection[tuple[str, str]]) -> None:
    if model.functions:
        raise ArtifactError("model", expected="no functions of its own", found=len(model.functions))
    for number, node in enumerate(_nodes(model.graph.nodes), start=1):
        if number > MAX_NODES:
            raise ArtifactError("nodes", expected=f"at most {MAX_NODES}", found="more")
        if node.domain not in _DOMAINS and (node.domain, node.op_type) not in others:
            expected = "an operator of the default domain"
            raise ArtifactError(node.title, expected=expected, found=ascii(node.domain[:80]))
        if node.op_type in ("Loop", "If"):
            raise ArtifactError(node.title, expected="no loops and no branches", found=node.op_type)
        names = [attribute.name for attribute in node.attributes]
        if len(set(names)) != len(names):
            raise ArtifactError(node.title, expected="attributes once each", found=names[:20])


def _check_opset(model: Model) -> None:
    versions = [version for domain, version in model.opsets if domain in _DOMAINS]
    if versions != [OPSET]:
        raise ArtifactError("opset", expected=OPSET, found=versions[:20])


def _nodes(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """These nodes and those of all nested graphs."""
    for node in nodes:
        yield node
        for attribute in node.attributes:
            for graph in attribute.graphs:
                yield from _nodes(graph.nodes)
