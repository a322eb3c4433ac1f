"""`fedge bench kernels`: the figures around the clock, and the whole command once."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from fedge.bench.kernels import inputs, peers
from fedge.bench.kernels.figure import Figure, Goal
from fedge.cli.main import main
from fedge.codecs import Sparse


def test_the_bound_of_two_of_four_positions_and_two_even_signs_is_log2_of_6_plus_2_bits() -> None:
    assert peers.bound_bytes(4, np.array([1, -1])) == pytest.approx((math.log2(6) + 2) / 8)


def test_levels_that_are_all_alike_cost_no_bits() -> None:
    assert peers.bound_bytes(4, np.array([1, 1])) == pytest.approx(math.log2(6) / 8)


def test_levels_and_scales_are_found_again_in_decoded_values() -> None:
    first = np.array([127, -3, 90] * 85 + [1], np.int8)  # one whole block
    second = np.array([-126, 2], np.int8)
    values = np.concatenate([first * np.float32(0.0078125), second * np.float32(3.0)])
    sent = Sparse(np.arange(258, dtype=np.uint32), values.astype(np.float32), 1000)
    levels, scales = inputs.levels_and_scales(sent, 8)
    np.testing.assert_array_equal(levels, np.concatenate([first, second]))
    np.testing.assert_array_equal(scales, np.array([0.0078125, 3.0], np.float32))


def test_levels_of_four_bits_are_not_taken_for_a_multiple() -> None:
    """7, 6 and 3 times 0.5 are 126, 108 and 54 times a smaller scale as well."""
    values = np.array([3.5, -3.0, 1.5], np.float32)
    sent = Sparse(np.arange(3, dtype=np.uint32), values, 3)
    np.testing.assert_array_equal(inputs.levels_and_scales(sent, 4)[0], [7, -6, 3])


def test_of_signs_the_scale_is_the_magnitude() -> None:
    values = np.array([0.5, -0.5, 0.5], np.float32)
    levels, scales = inputs.levels_and_scales(Sparse(np.arange(3, dtype=np.uint32), values, 3), 1)
    np.testing.assert_array_equal(levels, [1, -1, 1])
    np.testing.assert_array_equal(scales, np.array([0.5], np.float32))


def test_a_payload_that_lost_a_value_is_noticed() -> None:
    values = inputs.delta(1000)
    payload = inputs.encode("topk:0.01/int8", values)
    with pytest.raises(AssertionError):
        inputs.check_sent(values, np.zeros_like(values), payload)


def test_a_peer_that_takes_twice_as_long_is_two_times_ours() -> None:
    figure = Figure(key="k", what="w", ours=1e-3, unit="s", memcpy=2.5, peers={"numpy": 2e-3})
    assert figure.value("numpy") == 2
    assert figure.ratios == {"memcpy": 2.5, "numpy": 2}
    assert figure.is_met(Goal("numpy", 2, at_least=True)) is True
    assert figure.is_met(Goal("memcpy", 2.3)) is False
    assert figure.is_met(Goal("torch", 9, at_least=True)) is None


def test_a_peer_with_half_the_rate_is_two_times_ours() -> None:
    figure = Figure(key="k", what="w", ours=30e3, unit="updates/s", peers={"numpy": 15e3})
    assert figure.value("numpy") == 2


def test_the_command_checks_prints_and_writes_every_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "k.json"
    words = ["bench", "kernels", "--size", "50000", "--budget", "0", "--json", str(path)]
    assert main(words) == 0
    result = json.loads(path.read_text())
    keys = {figure["key"] for figure in result["figures"]}
    assert {
        "encode topk:0.01/int8 50000",
        "accumulate 50000",
        "length topk:0.01/sign 50000",
    } <= keys
    assert result["machine"]["numpy"] == np.__version__
    assert "memcpy" in capsys.readouterr().out


def test_a_model_too_small_to_measure_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "kernels", "--size", "10"]) == 2
    assert "at least 1000" in capsys.readouterr().err
