"""The global model, and its way to the devices."""
