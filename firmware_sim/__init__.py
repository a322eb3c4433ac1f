"""Runs the device runtime on emulated ARM boards.

How a run works: a board (`boards`) names its system; `stock` downloads the system's parts; `build`
cross-compiles fedge for it; a tier (`tiers`) runs a program there, using `emulator` for whole
machines; `fleet`, `scenario` and `bench` are the things to run.
"""
