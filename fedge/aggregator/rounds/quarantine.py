"""Whom the rule puts in quarantine after a round, and whom it releases.

A device in quarantine trains, sends and is answered as before, but its updates do not count. They
are still compared with the others', which is how the rule notices that it can release the device.

Law: the rule adds nobody if afterwards half or more of the devices in this round, or of all known
ones, would be in quarantine. Everything it goes by is a comparison with the majority, so where
there is none it does not decide. Nor does it if fewer devices than the strategy needs would be
left in a round like this one: then no round would change the model any more.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from fedge.aggregator.state.records import Quarantine, Score, Verdicts
from fedge.types import DeviceId, RoundId


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rule's settings.

    Attributes:
        after: suspect rounds among the last `window` after which a device goes into quarantine;
            None for no rule.
        rounds: in a row without suspicion after which it is released.
        least: devices that the strategy needs in a round.
    """

    after: int | None
    rounds: int
    least: int = 1

    @property
    def window(self) -> int:
        """Suspicion must be in most of these rounds, so pausing now and then does not help."""
        return 2 * self.after - 1 if self.after else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What earlier rounds left.

    Attributes:
        decisions: every one, by device.
        suspicion: a bit for each of a device's last rounds, the lowest for the last one.
        n_devices: how many devices earlier rounds have compared.
    """

    decisions: Mapping[DeviceId, Quarantine] = field(default_factory=dict)
    suspicion: Mapping[DeviceId, int] = field(default_factory=dict)
    n_devices: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the rule makes of a round.

    Attributes:
        verdicts: to be stored.
        withheld: devices that it would have put in quarantine if they were not too many.
    """

    verdicts: Verdicts
    withheld: tuple[DeviceId, ...] = ()


def decide(scores: Sequence[Score], known: Known, policy: Policy, *, round_: RoundId) -> Decision:
    """Apply the rule after a round, whose scores these are."""
    ours = {name for name, one in known.decisions.items() if one.by == "rule"}
    clean = {
        one.device: 0 if "suspect" in one.marks else known.decisions[one.device].n_clean + 1
        for one in scores
        if one.device in ours and one.norm is not None
    }
    if policy.after is None:
        return Decision(
            verdicts=Verdicts(round=round_, scores=tuple(scores), ended=frozenset(ours))
        )
    ended = frozenset(name for name, n_clean in clean.items() if n_clean >= policy.rounds)
    wanted = {
        one.device: _reason(one, n, policy)
        for one in scores
        if one.device not in known.decisions
        and (n := _n_suspect(one, known, policy.window)) >= policy.after
    }
    out = {name for name, one in known.decisions.items() if one.is_out} - ended
    present = {one.device for one in scores}
    has_room = _has_room(wanted.keys() | out, present, known.n_devices, policy.least)
    return Decision(
        verdicts=Verdicts(
            round=round_,
            scores=tuple(scores),
            begun=wanted if has_room else {},
            ended=ended,
            clean={name: n for name, n in clean.items() if name not in ended},
        ),
        withheld=() if has_room else tuple(wanted),
    )


def _n_suspect(one: Score, known: Known, window: int) -> int:
    """In how many of its last rounds the device was suspect; none if it is not now."""
    if "suspect" not in one.marks:
        return 0
    bits = known.suspicion.get(one.device, 0) << 1 | 1
    return (bits & ((1 << window) - 1)).bit_count()


def _has_room(
    out: Collection[DeviceId], present: Collection[DeviceId], n_devices: int, least: int
) -> bool:
    """Whether enough are left without these: a majority of the round and of all, and `least`."""
    n_out = sum(name in out for name in present)
    is_minority = 2 * n_out < len(present) and 2 * len(out) < max(n_devices, len(present))
    return is_minority and len(present) - n_out >= least


def _reason(one: Score, n: int, policy: Policy) -> str:
    return f"suspect in {n} of its last {policy.window} rounds, now with {describe(one)}"


def describe(one: Score) -> str:
    """What is out of the ordinary about an update, in words."""
    found = []
    if "long" in one.marks and one.norm is not None:
        found.append(f"a norm {one.norm:.3g} times the median")
    if "opposed" in one.marks and one.cosine is not None:
        found.append(f"a cosine of {one.cosine:.2f} with the others")
    if "lossy" in one.marks and one.loss is not None:
        found.append(f"a loss {one.loss:.1f} deviations above the median")
    return ", ".join(found)
