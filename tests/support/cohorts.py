"""Cohorts for tests, their deltas kept as payloads as an aggregator has them."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from fedge import codecs
from fedge.strategies import Cohort, Member, PayloadDeltas
from fedge.types import DeviceId, RoundId


def vector(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def dense(*values: float) -> bytes:
    return codecs.get("none").encode(vector(*values), None, np.random.default_rng(0))


def member(number: int, *, n_examples: int = 1, **facts: object) -> Member:
    device, round_ = DeviceId(f"device-{number:03}"), RoundId(1)
    return Member(device=device, round=round_, n_examples=n_examples, **facts)  # type: ignore[arg-type] # the test's own


def of_payloads(
    payloads: Sequence[bytes], n_params: int, members: Sequence[Member] | None = None
) -> Cohort:
    def read(places: Iterable[int]) -> Iterator[bytes]:
        return (payloads[place] for place in places)

    deltas = PayloadDeltas(n_params=n_params, n_members=len(payloads), read=read)
    return Cohort(tuple(members or map(member, range(len(payloads)))), deltas)


def of_rows(rows: Sequence[Sequence[float]], members: Sequence[Member] | None = None) -> Cohort:
    """One row a member; the payloads are exact."""
    return of_payloads([dense(*row) for row in rows], len(rows[0]), members)
