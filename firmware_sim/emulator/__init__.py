"""Whole emulated machines: QEMU, its console and its control socket."""
