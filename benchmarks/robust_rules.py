"""CPU time of robust rules against ByzFL, Flower and NumPy, one thread, n = 50, f = 10, d = 1e6.

Run: python -m benchmarks.robust_rules [--rules NAME ...] [--peers NAME ...] [--repeats N]

Peers that are not installed are left out, and the last line says how to install them. All
contestants of a rule take turns in one process on the same updates, and each figure is the median
of their turns. Every answer is checked against those of NumPy, ByzFL on NumPy and Flower, where
they compute the same; torch takes distances of more than 25 rows from float32 products, which may
tell neighbours wrong. ByzFL's nearest-neighbour mixing needs 10 GB of memory and, like Flower's
Bulyan, most of the time: several minutes for three turns.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

from fedge.strategies import robust
from fedge.types import Vector
from tests.support import robust_peers

N, F = 50, 10
Run = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Contest:
    """One rule: ours, the peers', and the ratio to reach.

    Attributes:
        ours: the call that is timed.
        peers: the same by others, by name.
        goal: which peer is to be beaten, and how many times.
        atol: by how much a peer's answer may differ; None if it computes something else.
    """

    ours: Run
    peers: Mapping[str, Run]
    goal: tuple[str, float] | None = None
    atol: float | None = 1e-5


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rules", nargs="*", help="all if left out")
    parser.add_argument("--peers", nargs="*", help="all if left out, such as 'ByzFL numpy'")
    parser.add_argument("--n-params", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    updates = rng.standard_normal((N, args.n_params), np.float32)
    updates[:F] += np.float32(0.5)  # who lies, and is not hard to find
    missing, contests = _contests(updates)
    print(f"n = {N}, f = {F}, d = {args.n_params}, {args.repeats} turns")
    print("| rule | fedge | peers: time, times slower than fedge | goal | met |")
    print("| --- | ---: | --- | --- | --- |")
    for name, contest in contests.items():
        if not args.rules or name in args.rules:
            print(_row(name, contest, args.peers, args.repeats), flush=True)
    if missing:
        print(f"left out: {', '.join(missing)}. To install them: {robust_peers.HOW}")


def _contests(updates: Vector) -> tuple[list[str], dict[str, Contest]]:
    """What is missing, and every rule with the peers that are not."""
    missing: list[str] = []
    byzfl: dict[str, Callable[..., Run]] = {}
    try:
        byzfl = dict(_byzfl(updates))
    except ImportError:
        missing.append("ByzFL")
    flower: dict[str, Run] = {}
    try:
        flower = {"Flower": _flower_bulyan(updates)}
    except ImportError:
        missing.append("Flower")

    def peers(name: str, *arguments: Any) -> dict[str, Run]:
        return {kind: make(name, *arguments) for kind, make in byzfl.items()}

    def ours(rule: Callable[..., Vector]) -> Run:
        return lambda: rule(updates, n_byzantine=F)

    by_numpy = {"numpy": lambda: np.median(updates, axis=0)}
    return missing, {
        "median": Contest(
            ours(robust.coordinate_median), by_numpy | peers("Median"), goal=("numpy", 15)
        ),
        "trimmed mean": Contest(ours(robust.trimmed_mean), peers("TrMean", F)),
        "Krum": Contest(ours(robust.krum), peers("Krum", F)),
        "Multi-Krum": Contest(
            ours(robust.multi_krum), peers("MultiKrum", F), goal=("ByzFL numpy", 5)
        ),
        "geometric median": Contest(
            ours(robust.geometric_median),
            peers("GeometricMedian"),
            goal=("ByzFL numpy", 4),
            atol=None,  # three steps from the origin are not there yet
        ),
        "centred clipping": Contest(
            lambda: robust.centered_clipping(updates, tau=100.0), peers("CenteredClipping")
        ),
        "Meamed": Contest(ours(robust.meamed), peers("Meamed", F)),
        "CAF": Contest(ours(robust.caf), peers("CAF", F), atol=None),  # theirs is random
        "NNM": Contest(
            ours(robust.nearest_neighbor_mixing), peers("NNM", F), goal=("ByzFL numpy", 40)
        ),
        "Bulyan": Contest(ours(robust.bulyan), flower, goal=("Flower", 50)),
    }


def _byzfl(updates: Vector) -> Iterator[tuple[str, Callable[..., Run]]]:
    peer = robust_peers.byzfl()
    import torch  # noqa: PLC0415 - ByzFL needs it

    torch.set_num_threads(1)
    tensors = torch.from_numpy(updates)

    def numpy_rule(name: str, *arguments: Any) -> Run:
        return lambda: getattr(peer, name)(*arguments)(updates)

    def torch_rule(name: str, *arguments: Any) -> Run:
        return lambda: getattr(peer, name)(*arguments)(tensors).numpy()

    yield "ByzFL numpy", numpy_rule
    yield "ByzFL torch", torch_rule


def _flower_bulyan(updates: Vector) -> Run:
    bulyan: Any = robust_peers.flower("aggregate_bulyan")
    krum = bulyan.__globals__["aggregate_krum"]
    return lambda: bulyan([([row], 1) for row in updates], F, krum, to_keep=0)[0]


def _row(name: str, contest: Contest, peers: list[str] | None, repeats: int) -> str:
    answer = contest.ours()
    assert np.all(np.isfinite(answer))
    wanted = {who: run for who, run in contest.peers.items() if peers is None or who in peers}
    runs = {"fedge": contest.ours, **wanted}
    times: dict[str, list[float]] = {who: [] for who in runs}
    for _ in range(repeats):
        for who, run in runs.items():
            start = time.process_time()
            got = run()
            times[who].append(time.process_time() - start)
            if contest.atol is not None and who != "ByzFL torch":
                np.testing.assert_allclose(got, answer, rtol=0, atol=contest.atol, err_msg=who)
            del got  # its memory is for the next one
    medians = {who: statistics.median(seconds) for who, seconds in times.items()}
    mine = medians.pop("fedge")
    ratios = {who: seconds / mine for who, seconds in medians.items()}
    told = ", ".join(f"{who} {medians[who]:.3g} s ({ratios[who]:.1f}x)" for who in medians)
    if contest.goal is None or contest.goal[0] not in ratios:
        return f"| {name} | {mine:.3g} s | {told or '-'} | - | - |"
    peer, limit = contest.goal
    met = "yes" if ratios[peer] >= limit else "**no**"
    return f"| {name} | {mine:.3g} s | {told} | {limit:g}x {peer} | {met} |"


if __name__ == "__main__":
    main()
