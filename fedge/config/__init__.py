"""Settings and data files, read once at the edge."""
