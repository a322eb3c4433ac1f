"""`fedge` commands in their own processes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np


def write_examples(path: Path, n: int = 40, n_in: int = 2, seed: int = 5) -> Path:
    """A data file for `models.linear`: the target is the sum of the inputs."""
    x = np.random.default_rng(seed).normal(size=(n, n_in)).astype(np.float32)
    np.savez(path, x=x, y=x.sum(axis=1, keepdims=True))
    return path


def environment(home: Path) -> dict[str, str]:
    """The environment of a new user's shell: no CI, an empty home, nothing of fedge."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
    return {**kept, "HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


class FedgeProcess:
    """A running `fedge COMMAND`; its output goes to `COMMAND.log` in its folder."""

    def __init__(
        self,
        command: str,
        folder: Path,
        flags: Mapping[str, object],
        *,
        words: Sequence[str] = (),
        before: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"{command}.log"
        line = [*before, sys.executable, "-m", "fedge", command, *words]
        for name, value in flags.items():
            line += [f"--{name}", str(value)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env
            )

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def wait(self, timeout_s: float = 15.0) -> int:
        """The exit code."""
        return self.process.wait(timeout_s)

    def stop(self) -> None:
        """Stop whatever is still running."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextmanager
def stopping(*processes: FedgeProcess) -> Iterator[None]:
    """No process outlives its test."""
    try:
        yield
    finally:
        for process in processes:
            process.stop()


def wait_until(
    is_there: Callable[[], object],
    timeout_s: float = 15.0,
    *,
    work: Callable[[], None] = lambda: None,
) -> None:
    """Run `work` until a condition holds; AssertionError when the time is up."""
    end_s = time.monotonic() + timeout_s
    while not is_there():
        assert time.monotonic() < end_s, f"it did not happen within {timeout_s} s"
        work()
        time.sleep(0.02)
