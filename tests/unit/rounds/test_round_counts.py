"""A round's counters against a plain model of it that counts everything anew at each question."""

import math

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fedge.rounds import CALM_S, Enough, Round, Verdict
from fedge.types import DeviceId, RoundId

SEVEN = RoundId(7)
DEADLINE_S = 30.0
a_device = st.sampled_from([DeviceId(name) for name in ("ann", "bob", "cid", "dan", "eve")])
a_nonce = st.sampled_from([b"nonce--a", b"nonce--b"])


class Counting(RuleBasedStateMachine):
    """Five devices do what they like; the model keeps one word for each of them."""

    @initialize(
        expected=st.frozensets(a_device),
        accepted=st.dictionaries(a_device, a_nonce, max_size=2),
        quorum=st.integers(1, 4),
    )
    def begin(
        self, expected: frozenset[DeviceId], accepted: dict[DeviceId, bytes], quorum: int
    ) -> None:
        self.round = Round(
            id=SEVEN, kind="training", expected=expected, quorum=quorum,
            deadline_s=DEADLINE_S, accepted=accepted,
        )  # fmt: skip
        self.where = dict.fromkeys(expected | accepted.keys(), "expected")
        self.accepted = dict(accepted)
        self.quorum, self.now_s, self.calm_at_s = quorum, 0.0, -math.inf
        self.deadline_s = DEADLINE_S

    @rule(device=a_device, number=st.sampled_from([6, 7, 8]), nonce=a_nonce)
    def receive(self, device: DeviceId, number: int, nonce: bytes) -> None:
        verdict = self.round.receive(device, RoundId(number), nonce)
        if number != SEVEN:
            assert verdict is (Verdict.LATE if number < SEVEN else Verdict.UNKNOWN)
        elif device in self.accepted:
            is_same = self.accepted[device] == nonce
            assert verdict is (Verdict.REPEATED if is_same else Verdict.SECOND)
        else:
            assert verdict is Verdict.ACCEPTED
            self.accepted[device], self.where[device] = nonce, "expected"

    @rule(device=a_device)
    def join(self, device: DeviceId) -> None:
        self.round.join(device)
        self.where[device] = "expected"

    @rule(device=a_device)
    def appear(self, device: DeviceId) -> None:
        self.round.appear(device)
        if self.where.get(device) != "refused":
            self.where[device] = "expected"

    @rule(device=a_device)
    def skip(self, device: DeviceId) -> None:
        is_news = device not in self.accepted and self.where.get(device) != "skipped"
        assert self.round.skip(device, "why", self.now_s) == is_news
        if is_news:
            self.where[device], self.calm_at_s = "skipped", self.now_s + CALM_S

    @rule(device=a_device)
    def refuse(self, device: DeviceId) -> None:
        self.round.refuse(device, "why")
        if device not in self.accepted:
            self.where[device] = "refused"

    @rule(device=a_device)
    def leave(self, device: DeviceId) -> None:
        where = self.where.get(device)
        is_waited_for = where == "expected" and device not in self.accepted
        assert self.round.leave(device, self.now_s) == is_waited_for
        if is_waited_for:
            self.where[device], self.calm_at_s = "lost", self.now_s + CALM_S
        elif where in ("expected", "skipped"):
            del self.where[device]

    @rule(device=a_device)
    def give_up(self, device: DeviceId) -> None:
        self.round.give_up(device)
        if device not in self.accepted:
            self.where[device] = "lost"

    @rule(seconds=st.sampled_from([0.5, CALM_S, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(seconds=st.sampled_from([0.0, 5.0]))
    def postpone(self, seconds: float) -> None:
        self.round.postpone(seconds)
        self.deadline_s += seconds

    @rule(in_s=st.sampled_from([0.0, 5.0]))
    def hasten(self, in_s: float) -> None:
        self.round.hasten(self.now_s + in_s)
        self.deadline_s = min(self.deadline_s, self.now_s + in_s)

    def those(self, where: str) -> set[DeviceId]:
        return {device for device, here in self.where.items() if here == where}

    @invariant()
    def counters_are_what_a_recount_gives(self) -> None:
        waiting = self.those("expected") - self.accepted.keys()
        missing = self.where.keys() - self.accepted.keys()
        assert self.round.n_waiting == len(waiting)
        assert self.round.n_accepted == len(self.accepted)
        assert self.round.n_asked == len(self.accepted) + len(missing)
        assert self.round.n_lost == len(self.those("lost"))
        assert self.round.n_skipped == len(self.those("skipped"))

    @invariant()
    def lists_are_what_the_model_has(self) -> None:
        assert self.round.accepted == self.accepted
        assert self.round.expected == self.those("expected")
        assert self.round.lost == self.those("lost")
        assert self.round.skipped.keys() == self.those("skipped")
        assert self.round.refused.keys() == self.those("refused")
        assert self.round.waiting_for == self.those("expected") - self.accepted.keys()
        assert list(self.round.missing) == sorted(self.where.keys() - self.accepted.keys())

    @invariant()
    def a_round_ends_when_the_model_says_so(self) -> None:
        waiting = self.those("expected") - self.accepted.keys()
        is_settled = not waiting and self.now_s >= self.calm_at_s
        has_quorum = len(self.accepted) >= self.quorum
        is_over = has_quorum and (is_settled or self.now_s >= self.deadline_s)
        assert self.round.is_over(self.now_s) == is_over
        is_refused = bool(self.those("skipped") or self.those("refused"))
        has_failed = is_refused and not self.accepted and is_settled
        assert self.round.has_failed(self.now_s) == has_failed
        n_asked = len(self.accepted) + len(self.where.keys() - self.accepted.keys())
        is_enough = has_quorum and len(self.accepted) >= math.ceil(0.5 * n_asked)
        assert Enough.parse("50%").is_reached(self.round) == is_enough


TestCounting = Counting.TestCase
