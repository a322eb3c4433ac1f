"""The state directory of a device: created, checked and locked.

    {state_dir}/lock                     held by the running device
    {state_dir}/outbox.sqlite3           results not yet acknowledged, residuals, the link's goodput
    {state_dir}/artifacts/{sha256}       artifacts, by content
    {state_dir}/models/{sha256}          global parameters, by content
    {state_dir}/personal.f32             the device's own model, if it trains one: float32,
                                         little-endian, n_params

Nothing is written outside it. It holds what was learned from private data, so
only the owner may read it: folders have mode 0700, files 0600.
"""

from pathlib import Path

from fedge.storage import Lock, check_private, make_private

PERSONAL = "personal.f32"


def lock_state(state_dir: Path) -> Lock:
    """Create the directory if it does not exist, and claim it for this process.

    Raises:
        StorageError: if the directory cannot be written, another process holds the lock, others
            may read anything in it, or it contains a symbolic link.
    """
    make_private(state_dir)
    check_private(state_dir)
    return Lock(state_dir, "device")
