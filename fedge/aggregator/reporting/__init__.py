"""Logs, events and counts: what an aggregator tells people and programs."""
