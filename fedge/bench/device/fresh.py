"""Start-up times: a new interpreter each time, its files in the system's cache."""

import json
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence

from fedge.bench.device.figures import Figures

_NAMES = ("import_s", "first_step_s", "first_step_cpu_s")
_PATIENCE_S = 600.0  # an emulated board takes its time


def start_up(
    command: Sequence[str], *, repeats: int, env: Mapping[str, str] | None = None
) -> Figures:
    """Medians of `import_s`, `first_step_s` and `first_step_cpu_s`, from the start of the process.

    Args:
        command: starts an interpreter that imports, trains one step and prints as JSON how long
            the imports took (`import_s`) and, when the step is done, what `time.monotonic`
            (`at_s`; all processes share it) and `time.process_time` (`cpu_s`) say.
        repeats: how often, after once for the cache.
        env: its environment; None for ours.
    """
    starts: list[tuple[float, ...]] = []
    try:
        for _ in range(1 + repeats):
            began_at_s = time.monotonic()
            said = json.loads(_output(command, env))
            starts.append((said["import_s"], said["at_s"] - began_at_s, said["cpu_s"]))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        why = f"no fresh interpreter: {_why(error)}"
        return Figures(dict.fromkeys(_NAMES), dict.fromkeys(_NAMES, why))
    columns = zip(*starts[1:], strict=True)
    return Figures(dict(zip(_NAMES, map(statistics.median, columns), strict=True)), {})


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
