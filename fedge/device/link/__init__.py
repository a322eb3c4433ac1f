"""The connection as a device sees it: whether it is up, and who else is on it."""
