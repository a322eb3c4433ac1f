"""Data files of examples: bounded, validated, never unpickled."""

from fedge.data.npz import Dataset, read_npz, write_npz

__all__ = ["Dataset", "read_npz", "write_npz"]
