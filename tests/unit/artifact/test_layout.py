"""The flat vector's layout."""

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.artifact.layout import Layout, Slot, arrange, check_layout, flatten, schema_hash
from fedge.errors import ArtifactError

shapes = st.lists(st.integers(1, 4), max_size=3).map(tuple)


def test_trainable_slots_come_first_in_the_order_given() -> None:
    layout = arrange(
        [
            ("mean", (3,), False, "statistic"),
            ("w", (2, 3), True, "weight"),
            ("b", (), True, "bias"),
        ]
    )
    assert [(slot.name, slot.offset, slot.size) for slot in layout] == [
        ("w", 0, 6),
        ("b", 6, 1),
        ("mean", 7, 3),
    ]


@given(st.lists(st.tuples(shapes, st.booleans()), max_size=6))
def test_views_of_a_flat_vector_return_what_was_flattened(
    entries: list[tuple[tuple[int, ...], bool]],
) -> None:
    layout = arrange([(f"p{i}", *entry, "weight") for i, entry in enumerate(entries)])
    values = {
        slot.name: np.random.default_rng(i).random(slot.shape) for i, slot in enumerate(layout)
    }
    flat = np.full(sum(value.size for value in values.values()), np.nan, np.float64)
    flatten(layout, values, flat)
    for slot in layout:
        np.testing.assert_array_equal(slot.view(flat), values[slot.name])
        assert slot.view(flat).base is not None


def test_schema_is_sha256_of_the_documented_text() -> None:
    layout = arrange([("w", (2, 3), True, "weight"), ("m", (3,), False, "statistic")])
    text = b'[1,[["w",[2,3],"float32",true],["m",[3],"float32",false]]]'
    assert schema_hash(layout) == hashlib.sha256(text).digest()


def slot(
    name: str, shape: tuple[int, ...], offset: int, *, trainable: bool = True, kind: Any = "weight"
) -> Slot:
    return Slot(name, shape, offset, trainable, kind)


@pytest.mark.parametrize(
    ("layout", "word"),
    [
        ((slot("w", (2,), 1),), "offset 0"),
        ((slot("w", (2,), 0), slot("v", (2,), 3)), "offset 2"),
        ((slot("w", (2,), 0, trainable=False), slot("v", (2,), 2)), "first"),
        ((slot("w", (2,), 0), slot("w", (2,), 2)), "once"),
        ((slot("", (2,), 0),), "printable"),
        ((slot("a\nb", (2,), 0),), "printable"),
        ((slot("fedge.target", (2,), 0),), "fedge"),
        ((slot("w", (0,), 0),), "elements"),
        ((slot("w", (-1, -2), 0),), "elements"),
        ((slot("w", (2**15, 2**15), 0),), "elements"),
        ((slot("w", (1,) * 17, 0),), "elements"),
        ((slot("w", (1,), 0, kind="buffer"),), "kind"),
        ((slot("w", (2**28,), 0), slot("v", (2**28 + 1,), 2**28)), "parameters"),
    ],
)
def test_a_broken_layout_is_refused(layout: Layout, word: str) -> None:
    with pytest.raises(ArtifactError, match=word):
        check_layout(layout)
