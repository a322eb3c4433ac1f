"""Encoding, decoding and robust aggregation against memcpy, bounds and peers."""
