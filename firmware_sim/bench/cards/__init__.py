"""What taking part costs a device, board by board."""
