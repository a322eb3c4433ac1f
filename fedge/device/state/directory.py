"""The state directory of a device: made, checked and locked.

    {state_dir}/lock                     held by the running device
    {state_dir}/outbox.sqlite3           results not yet acknowledged, residuals, the link's goodput
    {state_dir}/artifacts/{sha256}       artifacts, by content
    {state_dir}/models/{sha256}          global parameters, by content

Nothing is written outside of it. What trained on private data is in it, so
only the owner may read it: folders have mode 0700, files 0600.
"""

from pathlib import Path

from fedge.storage import Lock, check_private, make_private


def lock_state(state_dir: Path) -> Lock:
    """Make the directory if it is not there, and take it for this process.

    Raises:
        StorageError: if the directory cannot be written, another process holds the lock, others
            may read anything in it, or a symbolic link is in it.
    """
    make_private(state_dir)
    check_private(state_dir)
    return Lock(state_dir, "device")
