"""Medians in turns."""

import time

from fedge.bench.timing import Candidate, medians


def test_every_preparation_is_good_for_its_laps_and_no_more() -> None:
    calls: list[str] = []
    candidate = Candidate(lambda: calls.append("run"), lambda: calls.append("prepare"), laps=3)
    medians({"it": candidate}, budget_s=0.0)
    assert calls == ["prepare", "run", "run", "run"] * (len(calls) // 4)


def test_without_a_budget_a_candidate_still_has_three_samples() -> None:
    calls: list[int] = []
    medians({"it": Candidate(lambda: calls.append(1), lambda: None)}, budget_s=0.0)
    assert len(calls) == 2 + 3  # to warm up, then to count


def test_a_call_that_sleeps_costs_less_cpu_time_than_one_that_works() -> None:
    def work() -> None:
        end = time.process_time_ns() + 5_000_000
        while time.process_time_ns() < end:
            pass

    times = medians({"works": Candidate(work), "sleeps": Candidate(lambda: time.sleep(0.05))}, 0.0)
    assert times["sleeps"] < times["works"]
