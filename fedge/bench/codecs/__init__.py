"""Bytes to a target accuracy: every way to send updates, on tasks of different kinds."""
