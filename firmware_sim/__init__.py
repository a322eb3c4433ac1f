"""Runs the device runtime on emulated ARM boards.

The way of a run: a board (`boards`) names its system; `stock` downloads what the system is made
of; `build` cross-compiles fedge for it; a tier (`tiers`) runs a program there, with `emulator`
where whole machines are concerned; `fleet`, `scenario` and `bench` are what is run.
"""
