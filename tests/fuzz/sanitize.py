"""`make sanitize`: the targets against kernels built with AddressSanitizer and UBSan.

The kernels are built in a temporary folder by gcc; the build in use is not touched. A load or store
out of bounds, an invalid shift or an overflow ends the run with a report.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz import payloads
from tests.fuzz.target import attack, rng_of
from tests.fuzz.targets import TARGETS, corpus

ROOT = Path(__file__).parents[2]
_FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
# Only these run kernels; the other targets are Python.
_TARGETS = ("payload", "update")


def main(argv: list[str]) -> int:
    """0 if nothing was found."""
    parser = argparse.ArgumentParser(prog="make sanitize", description=__doc__)
    parser.add_argument("--mutations", type=int, default=20_000, help="per target")
    parser.add_argument("--inputs", type=Path, help="a folder of more inputs, as make fuzz keeps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.inside:
        _attack(options.mutations, options.inputs, options.seed)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        _build(copy)
        inputs = ["--inputs", str(options.inputs.resolve())] if options.inputs else []
        return _run(
            copy, ["--mutations", str(options.mutations), "--seed", str(options.seed), *inputs]
        )


def _build(copy: Path) -> None:
    """Copies the current sources and builds their kernels with sanitizers."""
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    for name in ("fedge", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    flags = f"{os.environ.get('CFLAGS', '')} {_FLAGS}"
    subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"],
        cwd=copy,
        env={**os.environ, "CFLAGS": flags, "LDFLAGS": _FLAGS},
        check=True,
    )


def _run(copy: Path, options: list[str]) -> int:
    # Python itself is not instrumented, so the sanitizer must be loaded before it.
    library = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    sanitized = {
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",  # so that every array has its own guarded memory
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz.sanitize", "--inside", *options],
        cwd=copy,
        env={**os.environ, **sanitized},
        check=False,
    ).returncode


def _attack(n: int, folder: Path | None, seed: int) -> None:
    from fedge import _kernels  # noqa: PLC0415 - to check which build it is

    built = Path(_kernels.__file__).parent
    assert built.is_relative_to(Path.cwd()), f"these are the kernels of {built}"
    for name in _TARGETS:
        more = sorted((folder / name).iterdir()) if folder else []
        inputs = [*corpus(name), payloads.large(), *(path.read_bytes() for path in more)]
        attack(TARGETS[name], inputs, n, rng_of(seed))
        print(f"{name:9} {len(inputs):>5} inputs, {n} mutations: nothing found", flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
