"""Hostile devices against every rule: what an attacker sends, and how far the model falls.

Needs the extra `bench` (onnx, to make the tasks' networks); the attacks themselves need NumPy only.
"""
