"""Whether a graph is safe to give to an engine: what it is made of, and what it costs to run."""

from fedge.artifact.safety.check import check_graph, check_storage

__all__ = ["check_graph", "check_storage"]
