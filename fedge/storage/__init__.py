"""Files, folders and databases that survive a crash and that only their owner can read."""

from fedge.storage.failures import reading, refusal, writing
from fedge.storage.files import read_checked, write_file
from fedge.storage.lock import Lock
from fedge.storage.private import check_private, make_private, open_private
from fedge.storage.sqlite import open_database, open_to_read, transaction

__all__ = [
    "Lock",
    "check_private",
    "make_private",
    "open_database",
    "open_private",
    "open_to_read",
    "read_checked",
    "reading",
    "refusal",
    "transaction",
    "write_file",
    "writing",
]
