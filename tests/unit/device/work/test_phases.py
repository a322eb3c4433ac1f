"""How manifests move a device from phase to phase."""

import pytest

from fedge.device.state.answers import Answer
from fedge.device.work.phases import Answered, Fetching, Finished, Idle, Phase, Training, next_phase
from fedge.messages import RoundState
from fedge.training import Plan
from fedge.types import RoundId
from tests.support.round_manifests import manifest, ref

PHASES = [
    Idle(),
    Fetching(manifest(1)),
    Training(manifest(1), n_steps=2),
    Answered(manifest(1)),
    Finished(),
]


def test_a_round_is_fetched_trained_and_answered_in_this_order() -> None:
    phase = next_phase(Idle(), manifest(1))
    assert phase == Fetching(manifest(1))
    answer = Answer(RoundId(1), manifest(1).model.sha256)
    assert next_phase(Training(manifest(1)), manifest(1), answer) == Answered(manifest(1))
    assert next_phase(Answered(manifest(1)), manifest(2), answer) == Fetching(manifest(2))


@pytest.mark.parametrize("phase", PHASES)
def test_a_newer_round_starts_from_every_phase(phase: Phase) -> None:
    assert next_phase(phase, manifest(2)) == Fetching(manifest(2))


@pytest.mark.parametrize("phase", PHASES)
def test_a_closed_round_ends_the_work_from_every_phase(phase: Phase) -> None:
    closed = manifest(1, sequence=11, state=RoundState.CLOSED)
    assert isinstance(next_phase(phase, closed), Idle)


@pytest.mark.parametrize("phase", PHASES)
def test_a_finished_job_is_finished_from_every_phase(phase: Phase) -> None:
    assert next_phase(phase, manifest(9, state=RoundState.FINISHED)) == Finished()


@pytest.mark.parametrize("phase", PHASES)
def test_a_round_that_was_answered_is_not_done_again(phase: Phase) -> None:
    answer = Answer(RoundId(1), manifest(1).model.sha256)
    assert next_phase(phase, manifest(1), answer) == Answered(manifest(1))


def test_an_answer_for_another_model_of_the_same_round_does_not_count() -> None:
    answer = Answer(RoundId(1), ref(b"the model of a job before").sha256)
    assert next_phase(Idle(), manifest(1), answer) == Fetching(manifest(1))


def test_the_same_round_announced_again_does_not_restart_the_training() -> None:
    again = manifest(1, sequence=99, deadline_s=5.0)
    assert next_phase(Training(manifest(1), n_steps=2), again) == Training(again, n_steps=2)
    assert next_phase(Fetching(manifest(1)), again) == Fetching(again)


@pytest.mark.parametrize(
    "change",
    [
        {"plan": Plan(local_steps=4)},
        {"model": ref(b"another model")},
        {"artifact": ref(b"another artifact")},
    ],
)
def test_the_same_round_with_different_work_starts_over(change: dict) -> None:
    other = manifest(1, sequence=11, **change)
    assert next_phase(Training(manifest(1), n_steps=2), other) == Fetching(other)
