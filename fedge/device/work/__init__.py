"""A round on a device: train on its own examples, hand in the result."""
