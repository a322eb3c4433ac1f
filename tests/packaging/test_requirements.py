"""What `pip install fedge` asks for, by machine."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
EVERYWHERE = {"numpy", "paho-mqtt", "cbor2"}


def asked_for(machine: str) -> set[str]:
    found = map(Requirement, PROJECT["dependencies"])
    env = {"platform_machine": machine}
    return {r.name for r in found if r.marker is None or r.marker.evaluate(env)}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "arm64", "AMD64"])
def test_onnxruntime_is_asked_for_where_it_has_wheels(machine: str) -> None:
    assert asked_for(machine) == EVERYWHERE | {"onnxruntime"}


@pytest.mark.parametrize("machine", ["armv6l", "armv7l", "armv8l", "i686", "riscv64"])
def test_a_machine_without_wheels_is_not_asked_for_what_pip_cannot_install(machine: str) -> None:
    assert asked_for(machine) == EVERYWHERE


def test_onnxruntime_is_one_that_keeps_to_the_models_folder() -> None:
    """1.24 refuses paths that lead out of it for tensors, 1.27 for sparse ones too; tried."""
    (runtime,) = (r for r in map(Requirement, PROJECT["dependencies"]) if r.name == "onnxruntime")
    assert "1.26.0" not in runtime.specifier
    assert "1.27.0" in runtime.specifier


def test_the_second_engine_is_an_extra_that_debians_onnx_fulfils() -> None:
    (onnx,) = map(Requirement, PROJECT["optional-dependencies"]["reference"])
    assert onnx.name == "onnx"
    assert "1.17.0" in onnx.specifier
