"""What a robust rule keeps in memory of a large cohort, as the operating system counts it."""

import subprocess
import sys

import pytest

N = 200
ROWS_MIB = 32  # of one range
SCRIPT = """
import sys
import numpy as np
from fedge import codecs, strategies
from fedge.strategies import Cohort, Member, PayloadDeltas

def mib(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024

n, n_params = int(sys.argv[2]), int(sys.argv[3])
rng, codec = np.random.default_rng(0), codecs.get("topk:0.01/sign")
common = rng.normal(size=n_params).astype(np.float32)
payloads = []
for number in range(8):
    delta = common + rng.normal(size=n_params).astype(np.float32)
    payloads.append(codec.encode(delta, None, rng))
members = tuple(Member(device=f"d{one:03}", round=1, n_examples=1, norm=1.0) for one in range(n))
deltas = PayloadDeltas(
    n_params=n_params, n_members=n, read=lambda places: (payloads[one % 8] for one in places)
)
rule, cohort = strategies.get(sys.argv[1]).rule, Cohort(members, deltas)
del common, delta
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")  # the peak starts anew from what is in memory now
before = mib("VmRSS")
assert np.isfinite(rule.combine(cohort)).all()
print(mib("VmHWM") - before)
"""


@pytest.mark.parametrize(
    ("spec", "n_params", "n_ranges"),
    [
        ("median", 1_000_000, 1),
        ("multi_krum:f=20", 1_000_000, 2),  # as read, and with one more row
        ("nnm+trimmed_mean:f=20", 200_000, 2),  # as read, and mixed
    ],
)
def test_memory_is_that_of_a_range_of_rows(spec: str, n_params: int, n_ranges: int) -> None:
    """All rows would be 153 and 763 MiB. Besides ranges: vectors of the model's size, n x n."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, spec, str(N), str(n_params)],
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    )
    assert float(run.stdout) < n_ranges * ROWS_MIB + 3 * 4 * n_params / 2**20 + 10
