"""The parts of boards' systems: downloaded once, verified, kept outside the repository."""
