"""Today's ratios against the stored ones: run by hand, on the machine that produced them.

Run: pytest benchmarks/bench_baselines.py --benchmark-only
The baselines were written by:
  fedge bench kernels --json benchmarks/baselines/kernels.json
  fedge bench codecs --quick --tasks digits --json benchmarks/baselines/codecs.json

Lengths of messages are exact and hold everywhere. Ratios of times hold between runs on one kind of
processor to a factor of TIME, because memory and cache of a shared machine vary; elsewhere they are
recorded in the result, not judged. Bytes to an accuracy hold to BYTES, because training may differ
in the last bit between builds of onnxruntime.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fedge.bench.kernels.suite import SIZES
from fedge.cli.main import main

TIME, LENGTH, BYTES = 1.6, 1.002, 1.3
FOLDER = Path(__file__).parent / "baselines"


def bench_kernels_keep_their_ratios(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    words = [word for size in SIZES for word in ("--size", str(size))]
    was, now = _baseline("kernels"), _run(benchmark, tmp_path, ["kernels", *words])
    worse = dict(_worse(was, now))
    benchmark.extra_info["worse"] = {name: round(factor, 2) for name, factor in worse.items()}
    assert not [name for name, factor in worse.items() if _is_length(name) and factor > LENGTH]
    if was["machine"]["processor"] == now["machine"]["processor"]:
        assert not {name: factor for name, factor in worse.items() if factor > TIME}


def _worse(was: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """How many times worse each ratio is than before; below 1 is better."""
    new = {figure["key"]: figure["ratios"] for figure in now["figures"]}
    for figure in was["figures"]:
        for of, then in figure["ratios"].items():
            if of in new[figure["key"]]:
                today = new[figure["key"]][of]
                is_cost = of in {"memcpy", "bound"}  # the others say how much slower a peer is
                yield f"{figure['key']} over {of}", today / then if is_cost else then / today


def _is_length(name: str) -> bool:
    return name.endswith("over bound")


def bench_codecs_keep_their_bytes(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    words = ["codecs", "--quick", "--tasks", "digits"]
    was, now = _baseline("codecs"), _run(benchmark, tmp_path, words)
    new = {line["scheme"]: line["factor"] for line in now["summary"]}
    benchmark.extra_info["factors"] = new
    for line in was["summary"]:
        assert new[line["scheme"]] >= line["factor"] / BYTES, line["scheme"]


def _baseline(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def _run(benchmark: BenchmarkFixture, folder: Path, words: list[str]) -> dict[str, Any]:
    path = folder / "now.json"
    code = benchmark.pedantic(  # type: ignore[no-untyped-call] # untyped library
        main, (["bench", *words, "--json", str(path)],), rounds=1
    )
    assert code == 0
    found: dict[str, Any] = json.loads(path.read_text())
    return found
