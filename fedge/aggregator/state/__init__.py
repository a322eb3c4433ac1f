"""What an aggregator keeps through a crash."""
