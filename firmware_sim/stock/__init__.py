"""What boards' systems are made of: downloaded once, verified, kept outside the repository."""
