"""What an update costs an aggregator: the real one, a real broker, scripted devices."""
