"""What an update costs: a real aggregator, a real broker and scripted devices."""
