"""CPU time of training steps, batch 32, one thread, against torch and against another checkout.

Run: python benchmarks/steps.py [--before CHECKOUT] [--rounds N] [--net NAME ...]

Needs torch (`pip install '.[witness]'`). The other checkout must have its kernels built (`make
.venv/dev.stamp` there). For every net each contestant has a process; they take turns, round by
round, so that other work on the machine affects all equally, and each figure is the median CPU time
of a step over the rounds. If both checkouts build the same artifact, byte for byte, there is
nothing to time, and the table says so. Batch statistics are frozen in torch too.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import torch
from step_nets import BATCH, NETS, export

from fedge import Trainer, build_artifact  # of the checkout that PYTHONPATH names

HERE = Path(__file__).parents[1]
ROUND_S = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--before", type=Path, help="another checkout, to compare with")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--net", nargs="*", default=list(NETS), choices=list(NETS))
    parser.add_argument("--worker", nargs=2, metavar=("KIND", "NET"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        _serve(*args.worker)
        return
    print("| network | torch | fedge | fedge over torch | before | now over before |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name in args.net:
        print(_row(name, args.before, args.rounds), flush=True)


def _row(name: str, before: Path | None, rounds: int) -> str:
    places = {"torch": HERE, "channels last": HERE, "now": HERE}
    if before:
        places["before"] = before.resolve()
    with tempfile.TemporaryDirectory() as folder:
        workers = {kind: _start(kind, name, place, folder) for kind, place in places.items()}
        times: dict[str, list[float]] = {kind: [] for kind in workers}
        for _ in range(rounds):
            for kind, worker in workers.items():
                times[kind].append(_ask(worker))
        for worker in workers.values():
            worker.communicate()
        built = {path.read_bytes() for path in Path(folder).glob("*.artifact")}
    ms = {kind: 1e3 * statistics.median(values) for kind, values in times.items()}
    torch = min(ms["torch"], ms["channels last"])
    row = f"| {name} | {torch:.3g} ms | {ms['now']:.3g} ms | {ms['now'] / torch:.2f} "
    if not before:
        return row + "| - | - |"
    if len(built) == 1:
        return row + "| the same graph | 1 |"
    return row + f"| {ms['before']:.3g} ms | {ms['now'] / ms['before']:.3f} |"


def _start(kind: str, name: str, place: Path, folder: str) -> subprocess.Popen[str]:
    """A process that imports fedge from a checkout and times steps on request."""
    worker = subprocess.Popen(
        [sys.executable, str(Path(__file__)), "--worker", kind, name],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    _ask(worker)  # the first round warms up
    return worker


def _ask(worker: subprocess.Popen[str]) -> float:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("go\n")
    worker.stdin.flush()
    return float(worker.stdout.readline())


def _serve(kind: str, name: str) -> None:
    step = _torch_step(name, kind) if kind in ("torch", "channels last") else _step(name, kind)
    for _ in sys.stdin:
        start, n = time.process_time(), 0
        while time.process_time() - start < ROUND_S:
            step()
            n += 1
        print((time.process_time() - start) / n, flush=True)


def _data(name: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.random((BATCH, *NETS[name][1]), dtype=np.float32)
    return x, rng.integers(0, 6, BATCH)


def _step(name: str, kind: str) -> Callable[[], object]:
    """What `Trainer` does for a batch, plus a step of plain SGD."""
    make, shape = NETS[name]
    torch.manual_seed(0)  # the same weights, so that equal graphs are equal bytes
    artifact = build_artifact(export(make(), shape), loss="cross_entropy", batch_size=BATCH)
    Path(f"{kind}.artifact").write_bytes(artifact.to_bytes())
    trainer, params, (x, y) = Trainer(artifact), artifact.parameters.copy(), _data(name)

    def step() -> None:
        _, gradient = trainer.loss_and_gradient(params, {"x": x}, y)
        params[: gradient.size] -= np.float32(1e-4) * gradient

    return step


def _torch_step(name: str, kind: str) -> Callable[[], object]:
    torch.set_num_threads(1)
    net, (x, y) = NETS[name][0]().eval(), map(torch.tensor, _data(name))
    if kind == "channels last" and x.dim() == 4:
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), 1e-4)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()

    return step


if __name__ == "__main__":
    main()
