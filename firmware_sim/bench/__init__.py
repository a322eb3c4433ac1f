"""Instruction counts of the kernels, board by board, and the baselines they are compared with."""
