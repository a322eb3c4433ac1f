"""A round's updates, those that count apart from those of devices in quarantine."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from fedge.aggregator.rounds.bounding import Bounds, Counted, bound_cohort
from fedge.aggregator.state.records import Member
from fedge.strategies import Cohort, PayloadDeltas
from fedge.strategies import Member as CohortMember
from fedge.types import DeviceId

Read = Callable[[Iterable[Member]], Iterator[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Updates:
    """A round's updates as the aggregator holds them.

    Attributes:
        members: whose updates count, in device order, and the norm of each.
        cohort: the same, before any bound.
        counted: the same, with what the bounds did to them.
        others: devices in quarantine that sent an update, and the norm of each.
        read: gives the payloads of members, one after another.
    """

    members: Sequence[Member]
    norms: Sequence[float]
    cohort: Cohort
    counted: Counted
    others: Sequence[Member]
    other_norms: Sequence[float]
    read: Read

    @classmethod
    def of(
        cls,
        everyone: Sequence[tuple[Member, float]],
        out: Collection[DeviceId],
        bounds: Bounds,
        read: Read,
        *,
        n_params: int,
    ) -> "Updates":
        """The updates of these members, whose norms stand beside them.

        Args:
            everyone: in device order.
            out: devices in quarantine.
            bounds: on the others.
            read: gives payloads.
            n_params: of each delta.
        """
        counting = [pair for pair in everyone if pair[0].device not in out]
        others = [pair for pair in everyone if pair[0].device in out]
        norms = [norm for _, norm in counting]
        cohort = _cohort(counting, read, n_params)
        return cls(
            members=[member for member, _ in counting],
            norms=norms,
            cohort=cohort,
            counted=bound_cohort(cohort, norms, bounds),
            others=[member for member, _ in others],
            other_norms=[norm for _, norm in others],
            read=read,
        )


def _cohort(counting: Sequence[tuple[Member, float]], read: Read, n_params: int) -> Cohort:
    """The cohort as a rule sees it."""

    def payloads(places: Iterable[int]) -> Iterator[bytes]:
        return read(counting[place][0] for place in places)

    members = tuple(
        CohortMember(
            device=one.device,
            round=one.round,
            n_examples=one.n_examples,
            n_steps=one.n_steps,
            loss=one.loss,
            norm=norm,
        )
        for one, norm in counting
    )
    deltas = PayloadDeltas(n_params=n_params, n_members=len(members), read=payloads)
    return Cohort(members, deltas)
