"""A round from its opening to the next model."""
