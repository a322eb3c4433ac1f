"""Results on their way up, as large as the link allows."""
