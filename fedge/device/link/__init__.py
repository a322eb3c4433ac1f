"""The connection as a device sees it: is it there, whose is it, who else is heard on it."""
