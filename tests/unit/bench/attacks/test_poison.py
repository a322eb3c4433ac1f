"""What hostile devices train on, by hand."""

import numpy as np

from fedge.bench.attacks.poison import Backdoor, backdoor_of, flip_labels
from fedge.training import ArrayData

DATA = ArrayData({"x": np.arange(24, dtype=np.float32).reshape(4, 2, 3)}, np.array([0, 1, 2, 2]))


def test_labels_are_counted_from_the_other_end() -> None:
    got = flip_labels(DATA, n_classes=3)
    np.testing.assert_array_equal(got.targets, [2, 1, 0, 0])
    np.testing.assert_array_equal(DATA.targets, [0, 1, 2, 2])
    assert got.inputs is DATA.inputs


def test_a_backdoor_marks_the_last_numbers_of_its_share() -> None:
    got = Backdoor(mark=9, size=2, target=1, share=0.5).poison(DATA)
    np.testing.assert_array_equal(got.targets, [1, 1, 2, 2])
    np.testing.assert_array_equal(got.inputs["x"][0], [[0, 1, 2], [3, 9, 9]])
    np.testing.assert_array_equal(got.inputs["x"][1], [[6, 7, 8], [9, 9, 9]])
    np.testing.assert_array_equal(got.inputs["x"][2:], DATA.inputs["x"][2:])
    assert DATA.inputs["x"][0, 1, 2] == 5


def test_a_trap_has_the_marked_examples_of_the_other_classes() -> None:
    got = Backdoor(mark=9, size=1, target=2).trap(DATA)
    np.testing.assert_array_equal(got.targets, [2, 2])
    np.testing.assert_array_equal(got.inputs["x"][:, 1, 2], [9, 9])
    np.testing.assert_array_equal(got.inputs["x"][:, 0], DATA.inputs["x"][:2, 0])


def test_a_mark_is_a_number_that_examples_have() -> None:
    assert backdoor_of(DATA).mark == 23


def test_words_stay_words() -> None:
    text = ArrayData({"x": np.array([[3, 1], [2, 7]])}, np.array([1, 0]))
    got = backdoor_of(text).poison(text)
    assert got.inputs["x"].dtype == text.inputs["x"].dtype
    np.testing.assert_array_equal(got.inputs["x"], [[7, 7], [2, 7]])
