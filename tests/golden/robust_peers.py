"""What ByzFL 0.0.11 and Flower 1.41 make of small cohorts, stored so that no test needs them.

`python -m tests.golden.robust_peers` writes it anew; tests/support/robust_peers.py says what to
install. The updates are made by integer arithmetic, so that no library's generator can change
them.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fedge.types import Array, Vector
from tests.golden.payloads import delta
from tests.support import robust_peers

FILE = Path(__file__).parent / "robust" / "peers.json"
# Of n updates of d parameters: f lie, and how.
CASES = {
    "near 5 1 6": (5, 1, 6, "near"),
    "near 10 3 7": (10, 3, 7, "near"),
    "far 7 2 6": (7, 2, 6, "far"),
    "far 11 2 9": (11, 2, 9, "far"),
    "far 15 3 20": (15, 3, 20, "far"),
    "twins 9 2 5": (9, 2, 5, "twins"),
    "twins 12 5 4": (12, 5, 4, "twins"),
    "line 7 2 1": (7, 2, 1, "far"),
    "near 7 1 8": (7, 1, 8, "near"),
}
TAUS = {"centered_clipping tau 0.5": (0.5, 1), "centered_clipping tau 2, 3 steps": (2.0, 3)}
C = 1.25  # of clipping
S = 3  # of bucketing


def updates(case: str) -> Vector:
    """float32, shape (n, d), between -1 and 1; of liars up to 9 away; twins are equal in pairs."""
    n, f, d, kind = CASES[case]
    rows = delta(n * d, seed=n + 17 * d).reshape(n, d).copy()
    if kind == "far":
        rows[:f] = 8 * rows[:f] + np.float32(1)
    if kind == "twins":
        rows[1::2] = rows[0 : n - n % 2 : 2]
    return rows


def order(case: str) -> Array:
    """In which ByzFL's bucketing took the updates."""
    return np.random.RandomState(CASES[case][0]).permutation(CASES[case][0])


def stored() -> dict[str, dict[str, Any]]:
    """By case, then by rule, as nested lists: what `python -m tests.golden.robust_peers` wrote."""
    contents = json.loads(FILE.read_text())
    return {case: contents[case] for case in CASES}


def write() -> None:
    """Runs the peers and stores what they return."""
    contents = {}
    for case, (n, f, _, _) in CASES.items():
        rules: dict[str, Callable[[Vector], Any]] = dict(_numpy_rules(f))
        if n >= 4 * f + 3:
            rules["bulyan (Flower)"] = _flower_bulyan(f)
        results = {name: rule(updates(case)) for name, rule in rules.items()}
        np.random.seed(n)  # noqa: NPY002, TID251 - which ByzFL shuffles by
        results["bucketing"] = robust_peers.byzfl().Bucketing(S)(updates(case))
        results |= _torch_results(case, f)
        contents[case] = {name: _shortest(result) for name, result in results.items()}
    FILE.parent.mkdir(exist_ok=True)
    lines = [
        f"{json.dumps(case)}: {{\n  "
        + ",\n  ".join(f"{json.dumps(name)}: {json.dumps(got)}" for name, got in results.items())
        + "\n}"
        for case, results in contents.items()
    ]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _shortest(result: Any) -> Any:
    """As nested lists of the fewest decimals that say which float32 each value is."""
    if np.ndim(result):
        return [_shortest(part) for part in result]
    return float(str(np.float32(result)))


def _numpy_rules(f: int) -> Iterator[tuple[str, Callable[[Vector], Any]]]:
    peer = robust_peers.byzfl()
    yield "coordinate_median", peer.Median()
    for name, rule in (
        ("trimmed_mean", "TrMean"),
        ("krum", "Krum"),
        ("multi_krum", "MultiKrum"),
        ("minimum_diameter_averaging", "MDA"),
        ("meamed", "Meamed"),
        ("nearest_neighbor_mixing", "NNM"),
        ("adaptive_robust_clipping", "ARC"),
    ):
        yield name, getattr(peer, rule)(f)
    yield "clipping", peer.Clipping(C)
    yield "geometric_median as it comes", peer.GeometricMedian()
    yield "geometric_median", _in_float64(peer.GeometricMedian(nu=1e-9, T=20_000))
    for name, (tau, n_steps) in TAUS.items():
        yield name, peer.CenteredClipping(L=n_steps, tau=tau)
    yield "centered_clipping twice", _twice(peer.CenteredClipping(L=1, tau=1.0))
    for name, rule in (("caf", "CAF"), ("smea", "SMEA")):
        yield name, _in_float64(robust_peers.byzfl_converged(rule)(f))


def _in_float64(rule: Callable[[Array], Any]) -> Callable[[Vector], Any]:
    return lambda rows: rule(rows.astype(np.float64))


def _twice(clip: Callable[[Vector], Vector]) -> Callable[[Vector], Vector]:
    """Its second result, which starts from the first."""

    def second(rows: Vector) -> Vector:
        clip(rows)
        return clip(rows)

    return second


def _torch_results(case: str, f: int) -> dict[str, Any]:
    import torch  # noqa: PLC0415 - only who writes this file needs it

    peer, rows = robust_peers.byzfl(), torch.from_numpy(updates(case))
    rules = {
        "coordinate_median": peer.Median(),
        "trimmed_mean": peer.TrMean(f),
        "krum": peer.Krum(f),
        "multi_krum": peer.MultiKrum(f),
        "minimum_diameter_averaging": peer.MDA(f),
        "meamed": peer.Meamed(f),
        "nearest_neighbor_mixing": peer.NNM(f),
        "geometric_median as it comes": peer.GeometricMedian(),
        "adaptive_robust_clipping": peer.ARC(f),
        "clipping": peer.Clipping(C),
    }
    return {f"{name} (torch)": rule(rows.clone()).numpy() for name, rule in rules.items()}


def _flower_bulyan(f: int) -> Callable[[Vector], Vector]:
    bulyan: Any = robust_peers.flower("aggregate_bulyan")
    krum = bulyan.__globals__["aggregate_krum"]

    def aggregate(rows: Vector) -> Vector:
        (result,) = bulyan([([row], 1) for row in rows], f, krum, to_keep=0)
        return np.asarray(result)

    return aggregate


if __name__ == "__main__":
    write()
