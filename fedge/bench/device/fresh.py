"""Start-up times: a new interpreter each time, with its files in the system's cache."""

import json
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence

from fedge.bench.device.figures import Figures
from fedge.bench.instructions import Counter
from fedge.errors import ConfigError

_NAMES = ("import_s", "first_step_s", "first_step_cpu_s")
_COUNT = "first_step_instructions"
_PATIENCE_S = 600.0  # an emulated board is slow


def start_up(
    command: Sequence[str], *, repeats: int, env: Mapping[str, str] | None = None
) -> Figures:
    """Medians of `import_s`, `first_step_s` and `first_step_cpu_s` since the process started.

    Also `first_step_instructions`, of the whole process in user mode including its start, if the
    processor's counter can be read.

    Args:
        command: starts an interpreter that imports, trains one step and prints as JSON how long
            the imports took (`import_s`) and, once the step is done, the values of
            `time.monotonic` (`at_s`; all processes share it) and `time.process_time` (`cpu_s`).
        repeats: number of runs, after one to fill the cache; if 0, nothing is started.
        env: its environment; None for this process's own.
    """
    if not repeats:
        return _unknown("no start-up was asked for")
    starts: list[tuple[float, ...]] = []
    try:
        for _ in range(1 + repeats):
            began_at_s = time.monotonic()
            said = json.loads(_output(command, env))
            starts.append((said["import_s"], said["at_s"] - began_at_s, said["cpu_s"]))
        count = _instructions(command, env)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return _unknown(f"no fresh interpreter: {_why(error)}")
    columns = zip(*starts[1:], strict=True)
    return Figures(dict(zip(_NAMES, map(statistics.median, columns), strict=True)), {}) | count


def _unknown(why: str) -> Figures:
    names = (*_NAMES, _COUNT)
    return Figures(dict.fromkeys(names), dict.fromkeys(names, why))


def _instructions(command: Sequence[str], env: Mapping[str, str] | None) -> Figures:
    """Instructions of one more start; the counter includes child processes."""
    try:
        with Counter() as counter:
            _output(command, env)
            return Figures({_COUNT: counter.read()}, {})
    except ConfigError as error:
        return Figures({_COUNT: None}, {_COUNT: str(error)})


def _output(command: Sequence[str], env: Mapping[str, str] | None) -> str:
    done = subprocess.run(  # noqa: S603 - our own scripts
        command, env=env, capture_output=True, text=True, timeout=_PATIENCE_S, check=True
    )
    return done.stdout.strip().rpartition("\n")[2]  # libraries may print before


def _why(error: Exception) -> str:
    """The last line of its output, or the error itself."""
    said = getattr(error, "stderr", None)
    lines = said.strip().splitlines() if isinstance(said, str) else []
    return lines[-1] if lines else str(error)
