"""Compares a round's updates with each other, and says whose count from now on."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from fedge.aggregator.rounds.directions import cosines, direction, draw
from fedge.aggregator.rounds.quarantine import Decision, Known, Policy, decide, describe
from fedge.aggregator.rounds.scores import Seen, score, turn
from fedge.aggregator.rounds.updates import Updates
from fedge.aggregator.state.records import EvaluationRecord, Quarantine, Score, Verdicts
from fedge.types import DeviceId, RoundId

_LEAST_HELD_OUT = 10  # examples
_MOST_NAMES = 50  # in an event; its counts cover all devices


class Past(Protocol):
    """What earlier rounds have said about devices."""

    def suspicion(self, devices: Iterable[DeviceId]) -> dict[DeviceId, int]:
        """The bits of these devices' last rounds, as far as they are known; see `Known`."""
        ...

    def n_compared(self) -> int:
        """How many devices have been compared."""
        ...

    def last_evaluation(self) -> EvaluationRecord | None:
        """What devices last found of the model, each on its own held-out examples."""
        ...


def judge(
    updates: Updates,
    decisions: Mapping[DeviceId, Quarantine],
    round_: RoundId,
    *,
    past: Past,
    policy: Policy,
    seed: int,
) -> tuple[Verdicts, dict[str, Any]]:
    """What the round says about its devices, and fields of its event.

    Args:
        updates: of the round.
        decisions: that were in force for it.
        round_: which.
        past: what was said before.
        policy: by which devices go into quarantine.
        seed: of the draw of updates that others are compared with.
    """
    evaluated = _evaluated(past.last_evaluation())
    seen = score(list(_seen(updates, evaluated)), updates.counted.median)
    scores = _one_each(_turned(updates, seen, (seed, round_)))
    suspects = [one.device for one in scores if "suspect" in one.marks]
    known = Known(
        decisions=decisions, suspicion=past.suspicion(suspects), n_devices=past.n_compared()
    )
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


def _evaluated(found: EvaluationRecord | None) -> dict[DeviceId, float]:
    """Each device's mean loss on its held-out examples; a few examples have any loss by chance."""
    devices = () if found is None else found.devices
    return {one.device: one.loss for one in devices if one.n_examples >= _LEAST_HELD_OUT}


def _seen(updates: Updates, evaluated: Mapping[DeviceId, float]) -> Iterator[Seen]:
    """Every update, those of devices in quarantine last."""
    for member, norm, cuts in zip(
        updates.members, updates.norms, updates.counted.cuts, strict=True
    ):
        yield Seen(
            device=member.device,
            norm=norm,
            loss=member.loss,
            evaluated=evaluated.get(member.device),
            counts="dropped" not in cuts,
            cuts=cuts,
        )
    for member, norm in zip(updates.others, updates.other_norms, strict=True):
        yield Seen(
            device=member.device,
            norm=norm,
            loss=member.loss,
            evaluated=evaluated.get(member.device),
            counts=False,
        )


def _turned(updates: Updates, scores: list[Score], seed: tuple[int, int]) -> list[Score]:
    """The scores with the directions of the updates that were drawn, and of all that stand out.

    No other could be suspect, so in a large round the rest is not read again.
    """
    able = [place for place, cuts in enumerate(updates.counted.cuts) if "dropped" not in cuts]
    drawn = [able[index] for index in draw(len(able), seed)]
    total = direction(updates.cohort, updates.norms, drawn)
    members = [*updates.members, *updates.others]
    norms = [*updates.norms, *updates.other_norms]

    def measure(places: Sequence[int], *, are_in_it: bool) -> dict[int, float | None]:
        payloads = updates.read(members[place] for place in places)
        lengths = [norms[place] for place in places]
        found = cosines(payloads, lengths, total, are_in_it=are_in_it)
        return dict(zip(places, found, strict=True))

    stand_out = (place for place, one in enumerate(scores) if one.marks & {"long", "lossy"})
    more = sorted(set(stand_out) - set(drawn))
    return turn(
        scores,
        measure(drawn, are_in_it=True) | measure(more, are_in_it=False),
        voters=drawn,
    )


def _one_each(scores: Sequence[Score]) -> tuple[Score, ...]:
    """A device that answered several rounds has its last score, and the marks of all."""
    found: dict[DeviceId, Score] = {}
    for one in scores:
        before = found.get(one.device)
        found[one.device] = one if before is None else replace(one, marks=one.marks | before.marks)
    return tuple(found.values())
