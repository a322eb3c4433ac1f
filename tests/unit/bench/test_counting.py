"""Recorded calls of kernels, and counts of what they take."""

import json
from pathlib import Path

import numpy as np
import pytest

from fedge import _kernels
from fedge._kernels import reference
from fedge.bench import instructions
from fedge.bench.kernels import calls, counting, works
from fedge.cli.main import main
from fedge.errors import ConfigError
from tests.support.tools import missing


def _step() -> calls.Call:
    """p = (1, 2), g = (4, 8), no momentum, lr 0.5."""
    parameters, gradient = np.array([1, 2], np.float32), np.array([4, 8], np.float32)
    empty = np.zeros(0, np.float32)

    def work() -> None:
        calls.kernel("sgd_step")(parameters, gradient, empty, empty, 0.5, 0.0, 0.0, 0.0)

    (call,) = calls.record(work)
    return call


def test_a_call_is_kept_with_what_went_in_and_what_came_out() -> None:
    call = _step()
    assert call.kernel == "sgd_step"
    assert call.before["parameters"].tolist() == [1, 2]
    assert call.after["parameters"].tolist() == [-1, -2]
    assert call.before["lr"] == 0.5
    assert call.result is None


def test_after_recording_the_kernels_are_those_from_before() -> None:
    kernels = {name: getattr(_kernels, name) for name in _kernels.__all__}
    with pytest.raises(ZeroDivisionError):
        calls.record(lambda: 1 // 0)
    assert kernels == {name: getattr(_kernels, name) for name in _kernels.__all__}


def test_a_call_made_again_starts_from_the_same_input() -> None:
    call = _step()
    calls.again(calls.kernel("sgd_step"), call)()
    assert call.before["parameters"].tolist() == [1, 2]


@pytest.mark.parametrize("work", works.works(3000), ids=lambda work: work.key)
def test_the_plain_twin_gives_what_was_recorded(work: works.Work) -> None:
    for call in work.calls():
        arguments = call.arguments()
        assert calls.twin(call.kernel)(*arguments) == call.result
        for name, value in zip(call.before, arguments, strict=True):
            if name in call.after and name != "work":
                n = _meant(call) if name == "out" else None
                np.testing.assert_array_equal(value[:n], call.after[name][:n], err_msg=name)


def _meant(call: calls.Call) -> int | None:
    """How much of `out` says something: what packs a stream gives its length, as an int or last."""
    result = call.result[-1] if isinstance(call.result, tuple) else call.result
    return None if result is None or isinstance(result, bool) else max(0, int(str(result)))


def test_every_kernel_is_in_some_work() -> None:
    found = {call.kernel for work in works.works(3000) for call in work.calls()}
    assert found == set(_kernels.__all__) - {"fwht"}  # it is a part of another, for tests


def test_a_kernel_is_counted_by_what_its_work_grows_with() -> None:
    sizes = {call.kernel: call.size() for work in works.works(3000) for call in work.calls()}
    assert sizes["sgd_step"] == sizes["quantise_dense"] == (3000, "parameter")
    assert sizes["pack"] == sizes["scatter_add_stream"] == (30, "kept value")
    assert sizes["robust_tile"] == (100 * 2048, "value")


def test_a_kernel_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match=r"'fold'.*sgd_step"):
        calls.check_names(["pack", "fold"])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's clock of this process in the place of a counter that this machine may lack."""
    monkeypatch.setattr(instructions, "_HARDWARE", 1)
    monkeypatch.setattr(instructions, "_INSTRUCTIONS", 1)
    if instructions.refusal() is not None:
        missing(f"perf_event_open: {instructions.refusal()}")


@pytest.mark.usefixtures("clock")
def test_the_command_counts_kernels_and_twins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "kernels", "--count", "instructions", "--size", "1000", "--kernel"]
    assert main([*words, "sgd_step", "--json", str(tmp_path / "counts.json")]) == 0
    (line,) = json.loads((tmp_path / "counts.json").read_text())["instructions"]
    assert line["kernel"] == "sgd_step"
    assert line["size"] == line["n_params"] == 1000
    assert line["ours"] > 0
    assert line["twin"] > 0
    assert "local step" in capsys.readouterr().out


@pytest.mark.usefixtures("clock")
def test_whole_calls_are_counted_too_and_twins_only_if_wanted() -> None:
    told: list[str] = []
    lines = counting.count([1000], kernels=None, with_twins=False, tell=told.append)
    assert {line.twin for line in lines} == {None}
    whole = [line.work for line in lines if line.kernel == counting.WHOLE]
    assert whole == [work.key for work in works.works(1000)]
    assert len(told) > len(whole)


def test_without_a_counter_the_command_ends_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(instructions, "_INSTRUCTIONS", 1 << 40)  # no processor has this
    assert main(["bench", "kernels", "--count", "instructions"]) == ConfigError.exit_code
    said = capsys.readouterr().err
    assert "instruction counter" in said
    assert "Traceback" not in said


def test_twins_and_kernels_have_the_same_names() -> None:
    assert all(hasattr(reference, name) for name in _kernels.__all__)
