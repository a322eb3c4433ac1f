"""What the devices of an evaluation round found of the model, each on its own examples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fedge.aggregator.rounds.bounding import bound_fields
from fedge.aggregator.rounds.context import Context
from fedge.aggregator.rounds.judging import quarantine_fields
from fedge.aggregator.state.records import DeviceEvaluation, EvaluationRecord, Member, ModelRecord
from fedge.errors import PayloadError
from fedge.messages import EvaluationReport
from fedge.rounds import Round
from fedge.training import Evaluation
from fedge.training.metrics import Fleet, bounds, summarize


@dataclass(frozen=True, slots=True)
class Judged:
    """An evaluation, and fields of the round's event.

    Attributes:
        found: None if fewer devices than the quorum have reported.
        told: the fields.
    """

    found: EvaluationRecord | None
    told: dict[str, Any]


def judge(context: Context, model: ModelRecord, round_: Round) -> Judged:
    """Merge the round's reports, in device order; those of devices in quarantine do not count."""
    decisions = context.store.quarantine()
    names = {one.device for one in decisions.values() if one.is_out}
    cohort = _latest(context.store.cohort(round_.id))
    told = quarantine_fields([decisions[one.device] for one in cohort if one.device in names])
    members, dropped = _readable(context, [one for one in cohort if one.device not in names])
    if len(members) < round_.quorum:
        note = (
            f"{len(members)} devices have evaluated the model, and the quorum is {round_.quorum}: "
            "there is no result"
        )
        return Judged(
            None, {**told, **bound_fields(dropped=dropped), "devices": None, "note": note}
        )
    claimed = [member.n_examples for member in members]
    shares = bounds(claimed, context.config.weight_bound)
    fleet = summarize((report.sums for report in _read(context, members)), shares)
    whole = Evaluation.of(fleet.total)
    devices, own_shares = [], []
    for member, share, report in zip(members, shares, _read(context, members), strict=True):
        sums = report.sums
        devices.append(
            DeviceEvaluation(member.device, member.n_examples, sums.mean_loss, sums.accuracy)
        )
        if report.personal is not None:
            own_shares.append(share)
    record = EvaluationRecord(
        round=round_.id,
        version=model.version,
        n_examples=whole.n_examples,
        loss=whole.loss,
        accuracy=whole.accuracy,
        devices=tuple(devices),
    )
    clipped = [{"device": members[place].device} for place in fleet.bounded]
    told |= bound_fields(dropped=dropped, clipped=clipped)
    facts = _facts(whole, fleet)
    if own_shares:
        facts["personal"] = _personal(context, members, own_shares)
    return Judged(record, {**told, "devices": facts})


def _personal(
    context: Context, members: Sequence[Member], shares: Sequence[float]
) -> dict[str, Any]:
    """The same of the devices' own models, of those that have one."""
    sums = (report.personal for report in _read(context, members))
    fleet = summarize((one for one in sums if one is not None), shares)
    return _facts(Evaluation.of(fleet.total), fleet)


def _latest(cohort: Sequence[Member]) -> list[Member]:
    """One report a device: it may have answered a round of evaluation that was given up too."""
    return list({member.device: member for member in cohort}.values())


def _readable(
    context: Context, members: Sequence[Member]
) -> tuple[list[Member], list[dict[str, str]]]:
    """The members whose reports can be read, and the others with the reason.

    Reports are checked before they are accepted, but another release may have accepted one that
    this release refuses.
    """
    good, dropped = [], []
    for member, payload in zip(members, context.store.payloads(members), strict=True):
        try:
            EvaluationReport.from_bytes(payload, context.artifact.manifest)
        except PayloadError as error:
            dropped.append({"device": member.device, "reason": str(error)})
        else:
            good.append(member)
    return good, dropped


def _read(context: Context, members: Sequence[Member]) -> Iterator[EvaluationReport]:
    """Their reports, one at a time: those of many classes are large."""
    for payload in context.store.payloads(members):
        yield EvaluationReport.from_bytes(payload, context.artifact.manifest)


def _facts(whole: Evaluation, fleet: Fleet) -> dict[str, Any]:
    return {
        "devices": fleet.n_devices,
        **whole.facts(),
        "quantiles": {name: list(values) for name, values in fleet.quantiles.items()},
        "worst_tenth": fleet.worst,
    }
