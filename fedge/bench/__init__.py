"""Benchmarks for users to run on their own machines: kernels against peers, codecs on tasks."""
