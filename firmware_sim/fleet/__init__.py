"""Emulated and native devices that train one model together."""
