"""The connection as the aggregator uses it: presence, and what goes out."""
