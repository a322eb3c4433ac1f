"""Settings, read once when a process starts.

Each process imports only its own configuration, such as
`fedge.config.device.DeviceConfig`.
"""
