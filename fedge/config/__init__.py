"""Settings and data files, read once at the edge.

Each process imports its own configuration (`fedge.config.device.DeviceConfig`, ...)
and nothing of the others.
"""
