"""Bytes that no encoder writes come as far as the aggregator's check, and no farther."""

import numpy as np
import pytest

from fedge import codecs
from fedge.aggregator.reception.validation import RefusedError, check_update
from fedge.bench.attacks.crafted import constant_payload
from fedge.bench.codecs import tasks
from fedge.codecs import Stamp
from fedge.messages import Reason, RoundKind
from fedge.types import RoundId

DIGITS = tasks.get("digits")
ARTIFACT = DIGITS.build(DIGITS.load(), 0)


def sent(value: float) -> bytes:
    stamp = Stamp(schema=ARTIFACT.schema[:4], round=3, n_examples=5)
    return constant_payload(value, ARTIFACT.n_trainable, stamp)


def test_the_payload_is_whole_and_holds_the_value() -> None:
    header = codecs.read_header(sent(0.5))
    assert (header.round, header.n_examples) == (3, 5)
    delta = codecs.decode(sent(0.5))
    assert isinstance(delta, codecs.Dense)
    np.testing.assert_array_equal(delta.values, np.full(ARTIFACT.n_trainable, np.float32(0.5)))
    check_update(sent(0.5), ARTIFACT, RoundId(3), RoundKind.TRAINING, max_examples=5)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_the_aggregator_refuses_values_that_are_not_finite(value: float) -> None:
    with pytest.raises(RefusedError) as refusal:
        check_update(sent(value), ARTIFACT, RoundId(3), RoundKind.TRAINING, max_examples=5)
    assert refusal.value.reason is Reason.PAYLOAD
