"""A round as a value: no sockets, no clock, no threads."""
