"""No false alarm on third-party architectures, and no error of one per cent in them is missed.

Their slots' gradients differ by up to 1e6 in size, and a check in float32 declared most of them
wrong.
"""

import pytest

from fedge.artifact import Artifact
from fedge.builder import build_artifact, check_artifact
from tests.support.planted_errors import spoiled
from tests.support.tools import need_package

NAMES = ["bert", "mobilebert", "deberta", "causal", "convnext", "squeezenet"]


def built(name: str) -> Artifact:
    need_package("torch")
    from tests.support.torch_models import exported  # noqa: PLC0415 - imports torch

    return build_artifact(exported(name), loss="cross_entropy", batch_size=6)


@pytest.mark.parametrize("name", NAMES)
def test_a_sound_model_raises_no_alarm_and_an_error_of_one_percent_in_any_slot_is_found(
    name: str,
) -> None:
    sound = built(name)
    report = check_artifact(sound)
    assert report.is_right, [slot for slot in report.slots if not slot.is_right]
    judged = [slot.name for slot in report.slots if slot.verdict == "right"]
    for half in (judged[::2], judged[1::2]):
        found = check_artifact(spoiled(sound, half, 1.01))
        assert [slot.name for slot in found.slots if not slot.is_right] == half


@pytest.mark.parametrize("name", ["bert", "mobilebert", "causal"])
def test_only_the_biases_of_keys_have_no_gradient(name: str) -> None:
    """Softmax ignores what they add, because it is the same for all scores of a query."""
    report = check_artifact(built(name))
    none = [slot.name for slot in report.slots if slot.verdict == "none"]
    assert len(none) == 2
    assert all(each.endswith("key.bias") for each in none)


@pytest.mark.parametrize("seed", range(1, 4))
@pytest.mark.parametrize("name", NAMES)
def test_no_seed_raises_an_alarm(name: str, seed: int) -> None:
    report = check_artifact(built(name), seed=seed)
    assert report.is_right, [slot for slot in report.slots if not slot.is_right]
