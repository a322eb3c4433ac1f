"""Faults as data files, and what must hold after each."""
