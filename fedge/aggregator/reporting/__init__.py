"""What people and their programs are told."""
