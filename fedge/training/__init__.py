"""Local training: parameters, examples and a plan in, an update out."""
