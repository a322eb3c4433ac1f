"""A fleet on one machine."""
