"""Results on their way up, no larger than the link allows."""
