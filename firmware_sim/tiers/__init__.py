"""Ways to run a board's code, from exact counts of single kernels to whole board models."""
