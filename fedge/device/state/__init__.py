"""What a device keeps through a power cut."""
