"""What it takes to close a round of many compressed updates: CPU time and peak memory.

Run: python benchmarks/closing.py [--updates N ...] [--params D] [--codec SPEC] [--strategy SPEC]

For each number of updates one process fills a state directory with accepted updates, and a new
one opens it and closes the round, as an aggregator does that was restarted: every payload is read
from the database and decoded for its norm, then again for the sum. Memory is what that second
process has before it closes the round, and its peak from there on (Linux only: the kernel's count
of resident pages, whose peak is reset in between). The model it makes is compared with the mean of
the decoded updates.

The last line is the work that every update costs at the least, in this process's memory: decode
it and add it, with its weight, to a sum.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from onnx import ModelProto

from fedge import codecs
from fedge.aggregator.clock import Clock
from fedge.aggregator.rounds.job import Job
from fedge.aggregator.startup import opened
from fedge.aggregator.state.records import Tally, UpdateRecord
from fedge.bench.codecs.models import perceptron
from fedge.builder import build_artifact
from fedge.codecs import Stamp
from fedge.config.aggregator import AggregatorConfig
from fedge.messages.update import NONCE_BYTES
from fedge.strategies import PayloadDeltas
from fedge.types import DeviceId, RoundId, Vector

N_INPUTS, N_CLASSES = 800, 10
DISTINCT = 32  # updates; the others repeat them, with weights of their own
AT_A_TIME = 500  # updates in a transaction
N_REPEATS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--updates", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--params", type=int, default=1_000_000)
    parser.add_argument("--codec", default="topk:0.01/sign")
    parser.add_argument("--strategy", default="fedavg")
    parser.add_argument("--worker", nargs=2, metavar=("WHAT", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        what, folder = args.worker
        work = fill if what == "fill" else close
        work(Path(folder), args)
        return
    with tempfile.TemporaryDirectory() as folder:
        artifact = build_artifact(network(args.params), loss="cross_entropy")
        artifact.save(Path(folder) / "model.fedge")
        print(f"d = {artifact.n_trainable}, {args.codec}, {args.strategy}\n")
        print("| updates | kB of payloads | CPU s | MB before | peak MB |")
        print("| ---: | ---: | ---: | ---: | ---: |", flush=True)
        for n in args.updates:
            found = measured(Path(folder), n, args)
            print(
                "| {n} | {kb:.0f} | {cpu_s:.2f} | {before_mb:.0f} | {peak_mb:.0f} |".format(**found)
            )
        print(f"\n{adding(artifact.n_trainable, args.codec)}")


def network(n_params: int) -> ModelProto:
    """A perceptron with one hidden layer and about so many parameters."""
    return perceptron(N_INPUTS, (n_params // (N_INPUTS + N_CLASSES + 1),), N_CLASSES, seed=0)


def measured(folder: Path, n: int, args: argparse.Namespace) -> dict[str, float]:
    """Fill and close in processes of their own."""
    given = ["--updates", str(n), "--codec", args.codec, "--strategy", args.strategy]
    for what in ("fill", "close"):
        command = [sys.executable, __file__, *given, "--worker", what, str(folder)]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def config(folder: Path, args: argparse.Namespace) -> AggregatorConfig:
    return AggregatorConfig(
        broker="mqtt://localhost",
        artifact=folder / "model.fedge",
        state_dir=folder / f"state-{args.updates[0]}",
        strategy=args.strategy,
        codec=args.codec,
        quorum=args.updates[0],
    )


def payloads(n_params: int, codec: str, stamp: Stamp) -> list[bytes]:
    """Different updates of one size."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(DISTINCT):
        delta = rng.normal(scale=1e-3, size=n_params).astype(np.float32)
        residual = np.zeros(n_params, np.float32) if codecs.get(codec).uses_residual else None
        made.append(codecs.get(codec).encode(delta, residual, rng, stamp=stamp))
    return made


def fill(folder: Path, args: argparse.Namespace) -> None:
    """Accept the updates of a round that stays open."""
    n = args.updates[0]
    with opened(config(folder, args), Clock()) as context:
        job = Job(context)
        names = [DeviceId(f"{number:06}") for number in range(n)]
        manifest = job.open(frozenset(names))
        stamp = Stamp(schema=context.artifact.schema[:4], round=manifest.round, n_examples=10)
        made = payloads(context.artifact.n_trainable, args.codec, stamp)
        for start in range(0, n, AT_A_TIME):
            records = (
                record(names[place], manifest.round, made[place % DISTINCT])
                for place in range(start, min(n, start + AT_A_TIME))
            )
            context.store.accept(records, Tally(refusals={}))


def record(device: DeviceId, round_: RoundId, payload: bytes) -> UpdateRecord:
    return UpdateRecord(
        round=round_,
        device=device,
        nonce=os.urandom(NONCE_BYTES),
        n_examples=10,
        payload=payload,
        n_steps=5,
        loss=1.0,
    )


def close(folder: Path, args: argparse.Namespace) -> None:
    """Close the round, print what it took, and check the model."""
    with opened(config(folder, args), Clock()) as context:
        job = Job(context)
        round_ = job.round
        assert round_ is not None
        before, before_mb, start = job.model.parameters, forget_peak_mb(), time.process_time()
        job.close(round_, Tally(refusals={}), n_late=0)
        cpu_s, peak_mb = time.process_time() - start, resident_mb("VmHWM")
        stamp = Stamp(schema=context.artifact.schema[:4], round=round_.id, n_examples=10)
        made = payloads(context.artifact.n_trainable, args.codec, stamp)
        if args.strategy == "fedavg":
            check(job.model.parameters - before, made, args.updates[0])
    total = sum(len(made[place % DISTINCT]) for place in range(args.updates[0]))
    found = {"n": args.updates[0], "kb": total / 1000, "cpu_s": cpu_s}
    print(json.dumps({**found, "before_mb": before_mb, "peak_mb": peak_mb}))


def forget_peak_mb() -> float:
    """Let the peak count from now on, and return what there is now."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident_mb("VmRSS")


def resident_mb(name: str) -> float:
    """What the kernel counts for this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(found) / 1024


def check(moved: Vector, made: list[bytes], n: int) -> None:
    """The model has moved by the mean of what was sent."""
    want = np.zeros(moved.size)
    for place, payload in enumerate(made):
        times = n // DISTINCT + (place < n % DISTINCT)
        want += times / n * codecs.decode(payload).to_dense().astype(np.float64)
    np.testing.assert_allclose(moved, want, atol=1e-6)


def adding(n_params: int, codec: str, n: int = 1000) -> str:
    """The CPU time of a weighted sum of payloads in memory, at best and in the middle."""
    made = payloads(n_params, codec, Stamp(n_examples=10))
    size = sum(map(len, made)) / len(made)

    def read(places: Iterator[int]) -> Iterator[bytes]:
        return (made[place % DISTINCT] for place in places)

    deltas = PayloadDeltas(n_params=n_params, n_members=n, read=read)  # type: ignore[arg-type]
    weights = np.full(n, 1 / n)
    times = []
    for _ in range(N_REPEATS):
        start = time.process_time()
        total = deltas.weighted_sum(weights)
        times.append(time.process_time() - start)
    check(total, made, n)
    middle = sorted(times)[N_REPEATS // 2]
    return (
        f"decode and add {n} updates of {codec}, d = {n_params}, {size:.0f} bytes each: "
        f"{1000 * middle:.1f} ms of CPU time (median of {N_REPEATS}, best {1000 * min(times):.1f})"
    )


if __name__ == "__main__":
    main()
