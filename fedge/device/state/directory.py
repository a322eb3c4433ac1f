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

import numpy as np

from fedge.artifact import Artifact, load_artifact
from fedge.errors import ConfigError
from fedge.storage import Lock, check_private, make_private, reading
from fedge.types import Vector

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


def personal_model(state_dir: Path) -> tuple[Artifact, Vector]:
    """The device's own model, float32 (n_params,), and the newest artifact that it can be of.

    Raises:
        ConfigError: if there is none.
        ArtifactError: if the artifact is damaged.
    """
    path = state_dir / PERSONAL
    if not path.is_file():
        raise ConfigError(
            f"there is no {PERSONAL} in {state_dir}: a device makes it in rounds whose algorithm "
            "is ditto"
        )
    with reading(path):
        parameters = np.frombuffer(path.read_bytes(), "<f4").astype(np.float32)
        folder = state_dir / "artifacts"
        newest_first = sorted(folder.iterdir(), key=lambda one: one.stat().st_mtime_ns)[::-1]
    for one in newest_first:
        artifact = load_artifact(one)
        if artifact.n_params == parameters.size:
            return artifact, parameters
    raise ConfigError(f"no artifact in {folder} has {parameters.size} parameters, as {path} does")
