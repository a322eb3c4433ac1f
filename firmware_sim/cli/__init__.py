"""The commands of `python -m firmware_sim`, one per module."""
