"""A round on a device: train on its own examples, hand in what came of it."""
