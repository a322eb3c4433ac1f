"""The global model and how it gets to the devices."""
