"""Whether a graph may be given to an engine: what it is made of, how much it takes."""

from fedge.artifact.safety.check import check_graph, check_storage

__all__ = ["check_graph", "check_storage"]
