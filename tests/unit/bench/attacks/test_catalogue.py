"""Each attack, carried out on a round that can be worked out by hand."""

import math

import numpy as np
import pytest

from fedge import codecs
from fedge.bench.attacks.catalogue import ATTACKS, Attacker, Task
from fedge.bench.attacks.poison import Backdoor
from fedge.bench.attacks.setting import CLEAN
from fedge.bench.federation import Forged, View
from fedge.codecs import Stamp
from fedge.training import ArrayData
from fedge.types import Vector

TASK = Task(n_classes=3, backdoor=Backdoor(mark=9, size=1, target=0))
DATA = ArrayData({"x": np.zeros((4, 2), np.float32)}, np.array([0, 1, 2, 2]))


def row(*values: float) -> Vector:
    return np.array(values, np.float32)


def view(*, has_honest: bool = True) -> View:
    """Devices 0 to 2 are honest; 3 and 4 are not, and learned (1, 0) and (0, 1)."""
    honest = {2: row(7, 8), 0: row(1, 2), 1: row(4, 5)}
    return View(
        round=5,
        parameters=row(10, 20),
        before=row(9, 22),
        honest=honest if has_honest else {},
        own={3: row(1, 0), 4: row(0, 1)},
        n_examples={0: 10, 1: 20, 2: 30, 3: 10, 4: 30},
        stamp=Stamp(schema=b"abcd", round=5),
        rng=np.random.default_rng(0),
    )


def attacker(name: str) -> Attacker:
    return Attacker(attack=ATTACKS[name], hostile=frozenset({3, 4}), task=TASK)


def sent(name: str) -> dict[int, Forged]:
    return dict(attacker(name).forge(view()))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("sign_flip", (-4, -5)),
        ("x10", (-40, -50)),
        ("ipm", (-8, -10)),
        ("alie", (8.5, 9.5)),
        ("mimic", (1, 2)),
        ("zero", (0, 0)),
        ("free_rider", (1, -2)),  # what the model did since the round before
        # They want the model to move by (10 * (1, 0) + 30 * (0, 1)) / 40, with 40 of 100 examples.
        ("replacement", (0.625, 1.875)),
    ],
)
def test_both_hostile_devices_send_the_same(name: str, wanted: tuple[float, float]) -> None:
    forged = sent(name)
    assert sorted(forged) == [3, 4]
    for one in forged.values():
        assert one.delta is not None
        np.testing.assert_allclose(one.delta, wanted, rtol=1e-6)
        assert one.n_examples is None  # they claim what they have


@pytest.mark.parametrize("name", ["gaussian", "min_max", "min_sum"])
def test_the_others_send_one_delta_too(name: str) -> None:
    first, second = sent(name).values()
    assert first.delta is not None
    np.testing.assert_array_equal(first.delta, second.delta)
    assert np.linalg.norm(first.delta) > 0


@pytest.mark.parametrize(("name", "value"), [("nan", math.nan), ("inf", math.inf)])
def test_numbers_that_no_encoder_writes_are_sent_as_bytes(name: str, value: float) -> None:
    for device, forged in sent(name).items():
        assert forged.payload is not None
        header = codecs.read_header(forged.payload)
        assert (header.schema, header.round, header.n_params) == (b"abcd", 5, 2)
        assert header.n_examples == view().n_examples[device]
        np.testing.assert_array_equal(
            np.frombuffer(forged.payload[header.body], "<f4"), [value, value]
        )


def test_one_device_claims_the_most_that_is_allowed_and_flips_the_mean() -> None:
    forged = sent("heavy")
    assert list(forged) == [3]
    assert forged[3].n_examples == 10_000_000
    assert forged[3].delta is not None
    np.testing.assert_array_equal(forged[3].delta, [-4, -5])


@pytest.mark.parametrize("name", [CLEAN, "label_flip", "backdoor"])
def test_whoever_only_trains_on_other_examples_sends_what_it_learned(name: str) -> None:
    assert sent(name) == {}


def test_examples_are_poisoned_by_three_attacks_only() -> None:
    poisoning = [name for name in ATTACKS if attacker(name).poison(3, DATA) is not DATA]
    assert poisoning == ["label_flip", "backdoor", "replacement"]
    assert list(attacker("label_flip").poison(3, DATA).targets) == [2, 1, 0, 0]
    assert list(attacker("backdoor").poison(3, DATA).targets) == [0, 0, 2, 2]


@pytest.mark.parametrize("name", ATTACKS)
def test_with_nobody_to_look_at_they_send_what_they_learned(name: str) -> None:
    assert attacker(name).forge(view(has_honest=False)) == {}


def test_backdoors_alone_have_an_aim_of_their_own() -> None:
    aimed = [name for name, attack in ATTACKS.items() if attack.is_targeted]
    assert aimed == ["backdoor", "replacement"]
