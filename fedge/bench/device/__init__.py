"""What taking part costs a device: disk, memory, bytes, CPU time, instructions."""
