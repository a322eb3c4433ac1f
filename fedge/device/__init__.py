"""The runtime that trains where the data is."""
