"""Bytes to a target accuracy: every way to send updates, on different kinds of tasks.

Needs the extra `bench` (onnx, to make the tasks' networks); without it only `setting` loads.
"""
