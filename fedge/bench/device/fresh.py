"""Start-up times: a new interpreter each time, its files in the system's cache."""

import json
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence

from fedge.bench.device.figures import Figures

_PATIENCE_S = 600.0  # an emulated board takes its time


def start_up(
    command: Sequence[str], *, repeats: int, env: Mapping[str, str] | None = None
) -> Figures:
    """Medians of `import_s` and `first_step_s`.

    Args:
        command: starts an interpreter that imports, trains one step and prints, as JSON, how long
            the imports took (`import_s`) and the time of `time.monotonic`, which all processes
            share, when the step was done (`done_at_s`).
        repeats: how often, after once for the cache.
        env: its environment; None for ours.
    """
    imports, steps = [], []
    try:
        for _ in range(1 + repeats):
            began_at_s = time.monotonic()
            said = json.loads(_output(command, env))
            imports.append(said["import_s"])
            steps.append(said["done_at_s"] - began_at_s)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        nothing = {"import_s": None, "first_step_s": None}
        return Figures(nothing, dict.fromkeys(nothing, f"no fresh interpreter: {_why(error)}"))
    medians = {
        "import_s": statistics.median(imports[1:]),
        "first_step_s": statistics.median(steps[1:]),
    }
    return Figures(medians, {})


def _output(command: Sequence[str], env: Mapping[str, str] | None) -> str:
    done = subprocess.run(  # noqa: S603 - our own scripts
        command, env=env, capture_output=True, text=True, timeout=_PATIENCE_S, check=True
    )
    return done.stdout.strip().rpartition("\n")[2]  # others may print before


def _why(error: Exception) -> str:
    """The last line of what it said, or what is said of it."""
    said = getattr(error, "stderr", None)
    lines = said.strip().splitlines() if isinstance(said, str) else []
    return lines[-1] if lines else str(error)
