"""Faults as data, played on whole emulated systems.

`plan` reads a scenario's file; `stage` is the fleet it happens to: a broker, an aggregator and a
device on an emulated board; `conditions`, `cuts` and `clones` play it; `outcome` is the result.
"""
