"""Files that survive a crash, and folders that only their owner can read."""

from fedge.storage.files import write_file
from fedge.storage.private import check_private, make_private, open_private

__all__ = ["check_private", "make_private", "open_private", "write_file"]
