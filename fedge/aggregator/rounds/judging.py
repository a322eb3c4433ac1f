"""Compares a round's updates with each other, and says whose count from now on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fedge.aggregator.rounds.bounding import Counted
from fedge.aggregator.rounds.context import Context
from fedge.aggregator.rounds.directions import cosines, direction, draw
from fedge.aggregator.rounds.quarantine import Decision, Known, Policy, decide, describe
from fedge.aggregator.rounds.scores import Seen, score
from fedge.aggregator.state.records import Member, Quarantine, Score, Verdicts
from fedge.strategies import Cohort
from fedge.types import DeviceId, RoundId

_MOST_NAMES = 50  # in an event; its counts cover all devices


@dataclass(frozen=True, slots=True, kw_only=True)
class Updates:
    """A round's updates as the aggregator holds them, those that count apart from the others.

    Attributes:
        members: whose updates count, in device order, and the norm of each.
        cohort: the same, before any bound.
        counted: the same, with what the bounds did to them.
        others: devices in quarantine that sent an update, and the norm of each.
    """

    members: Sequence[Member]
    norms: Sequence[float]
    cohort: Cohort
    counted: Counted
    others: Sequence[Member]
    other_norms: Sequence[float]


def judge(
    on: Context, updates: Updates, decisions: Mapping[DeviceId, Quarantine], round_: RoundId
) -> tuple[Verdicts, dict[str, Any]]:
    """What the round says about its devices, and fields of its event."""
    scores = _one_each(score(list(_seen(on, updates, round_)), updates.counted.median))
    suspects = [one.device for one in scores if "suspect" in one.marks]
    known = Known(
        decisions=decisions,
        suspicion=on.store.suspicion(suspects),
        n_devices=on.store.n_compared(),
    )
    policy = Policy(after=on.config.quarantine_after, rounds=on.config.quarantine_rounds)
    decision = decide(scores, known, policy, round_=round_)
    out = [decisions[one.device] for one in updates.others]
    return decision.verdicts, quarantine_fields(out, scores, decision)


def quarantine_fields(
    out: Sequence[Quarantine] = (),
    scores: Sequence[Score] = (),
    decision: Decision | None = None,
) -> dict[str, Any]:
    """The event's fields about devices that stand out; the defaults say that none did."""
    suspects = [one for one in scores if "suspect" in one.marks]
    began = decision.verdicts.begun if decision else {}
    ended = sorted(decision.verdicts.ended) if decision else []
    withheld = list(decision.withheld) if decision else []
    return {
        "devices_suspect": len(suspects),
        "devices_quarantined": len(out),
        "suspect": [
            {"device": one.device, "reason": describe(one)} for one in suspects[:_MOST_NAMES]
        ],
        "quarantined": [
            {"device": one.device, "by": one.by, "since": one.round, "reason": one.reason}
            for one in out[:_MOST_NAMES]
        ],
        "quarantine_began": [
            {"device": device, "reason": why} for device, why in list(began.items())[:_MOST_NAMES]
        ],
        "quarantine_ended": ended[:_MOST_NAMES],
        "quarantine_withheld": withheld[:_MOST_NAMES],
    }


def _seen(on: Context, updates: Updates, round_: RoundId) -> Iterator[Seen]:
    """Every update, those that count first."""
    inside, outside = _cosines(on, updates, round_)
    for member, norm, cosine, cuts in zip(
        updates.members, updates.norms, inside, updates.counted.cuts, strict=True
    ):
        yield Seen(
            device=member.device,
            norm=norm,
            cosine=cosine,
            loss=member.loss,
            counts="dropped" not in cuts,
            cuts=cuts,
        )
    for member, norm, cosine in zip(updates.others, updates.other_norms, outside, strict=True):
        yield Seen(
            device=member.device,
            norm=norm,
            cosine=cosine,
            loss=member.loss,
            counts=False,
            cuts=frozenset(),
        )


def _cosines(
    on: Context, updates: Updates, round_: RoundId
) -> tuple[list[float | None], list[float | None]]:
    """Of the updates that count, and of the others; None where it is not measured."""
    cuts = updates.counted.cuts
    able = [place for place, cut in enumerate(cuts) if "dropped" not in cut]
    places = [able[index] for index in draw(len(able), (on.config.seed, round_))]
    total = direction(updates.cohort, updates.norms, places)

    def measure(members: list[Member], norms: list[float], *, are_in_it: bool) -> Any:
        payloads = on.store.payloads(members)
        return cosines(payloads, norms, total, are_in_it=are_in_it)

    drawn = [updates.members[place] for place in places]
    inside: list[float | None] = [None] * len(updates.members)
    measured = measure(drawn, [updates.norms[place] for place in places], are_in_it=True)
    for place, cosine in zip(places, measured, strict=True):
        inside[place] = cosine
    return inside, measure(list(updates.others), list(updates.other_norms), are_in_it=False)


def _one_each(scores: Sequence[Score]) -> tuple[Score, ...]:
    """A device that answered several rounds has its last score, and the marks of all."""
    found: dict[DeviceId, Score] = {}
    for one in scores:
        before = found.get(one.device)
        found[one.device] = one if before is None else replace(one, marks=one.marks | before.marks)
    return tuple(found.values())
