"""Instruction counts of the kernels, board by board, and what they are compared with."""
