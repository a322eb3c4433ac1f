"""A whole emulated machine: QEMU as a process, its serial line, its monitor.

`hardware` is the command line as a value, `machine` a run of it; `console` talks to the guest over
the serial line, `monitor` to QEMU itself. The guest's side is `build/guest_init.sh`.
"""
