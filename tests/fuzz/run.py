"""`make fuzz`: coverage-guided fuzzing of every parser with atheris.

It is guided by branches in fedge's Python code, including the kernels' twins: every payload is
decoded by both. Interesting inputs are kept in build/fuzz/{target} for the next run; an input that
breaks a law is stored next to them as crash-* or timeout-* and can be passed to --replay.
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMES = ("payload", "messages", "update", "artifact", "npz")
_MAX_BYTES = 8192
_MAX_RSS_MB = 2048
_MAX_INPUT_S = 20  # until libFuzzer itself reports a hang; the targets measure CPU time


def main(argv: list[str]) -> int:
    """0 if no law was broken."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="in total, for all targets")
    parser.add_argument("--target", choices=NAMES, action="append", help="all by default")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("--seed", type=int, default=0, help="the fuzzer's seed; 0 draws one")
    parser.add_argument("--replay", type=Path, help="one input for one --target, without atheris")
    options = parser.parse_args(argv)
    names = options.target or NAMES
    if options.replay:
        _replay(names[0], options.replay)
        return 0
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: pip install 'fedge[fuzz]'", file=sys.stderr)  # noqa: T201
        return 11
    seconds = max(1, options.seconds // len(names))
    return max(_run(name, seconds, options.folder / name, options.seed) for name in names)


def _replay(name: str, path: Path) -> None:
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - atheris must instrument it first

    TARGETS[name].check(path.read_bytes())


def _run(name: str, seconds: int, folder: Path, seed: int) -> int:
    """Fuzzes in a separate process, which libFuzzer ends; prints one line, or the finding."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "max_total_time": seconds,
        "max_len": _MAX_BYTES,
        "timeout": _MAX_INPUT_S,
        "rss_limit_mb": _MAX_RSS_MB,
        "artifact_prefix": f"{folder}/",
        "seed": seed,
        "print_final_stats": 1,
    }
    child = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz.guided", name),
            *(f"-{option}={value}" for option, value in options.items()),
            *(str(folder), str(ROOT / "tests" / "fuzz" / "corpus" / name)),
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )  # fmt: skip
    print(_summary(name, child.stderr + child.stdout, is_clean=child.returncode == 0), flush=True)  # noqa: T201
    return int(child.returncode != 0)


def _summary(name: str, said: str, *, is_clean: bool) -> str:
    n_runs = re.findall(r"number_of_executed_units:\s*(\d+)", said)
    branches = re.findall(r"cov: (\d+)", said)
    inputs = re.findall(r"corp: (\d+)", said)
    last = [found[-1] if found else "?" for found in (n_runs, branches, inputs)]
    line = "{:9} {:>9} executions, {:>5} branches, {:>5} inputs kept".format(name, *last)
    return line if is_clean else f"{said[-6000:]}\n{line}: A LAW IS BROKEN, see above"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
