"""The wheel alone is a device: it needs nothing that only the aggregator's side has."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.broker import running
from tests.support.tools import need_tool

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution of a copy of the tree, and the wheel made from that."""
    need_tool("git")
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    names = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT)
    for name in names.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    # Without isolation, so that what this environment has builds it, and numpy's headers do not.
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), "."], cwd=copy)
    return out


@pytest.fixture(scope="module")
def alone(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("device") / "env"
    run([sys.executable, "-m", "venv", str(folder)])
    (wheel,) = built.glob("*.whl")
    python = folder / "bin" / "python"
    run([str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q", str(wheel)])
    return python


def run(words: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        words, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def test_one_wheel_serves_every_later_python(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert re.fullmatch(r"fedge-[\d.]+-cp311-abi3-linux_\w+\.whl", wheel.name)
    kernels = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]
    stems = {path.stem for path in (ROOT / "fedge" / "_kernels").glob("*.pyx")}
    assert set(kernels) == {f"fedge/_kernels/{stem}.abi3.so" for stem in stems}


def test_the_wheel_ships_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"fedge"}
    assert "fedge/py.typed" in names
    assert not [name for name in names if name.endswith((".pyx", ".c"))]
    assert {"fedge/_kernels/topk.pyi", "fedge/_kernels/reference/topk.py"} <= set(names)


@pytest.mark.parametrize("package", ["onnx", "sklearn", "matplotlib", "iotcore", "scipy"])
def test_a_device_is_installed_without(package: str, alone: Path) -> None:
    code = f"import importlib.util; print(importlib.util.find_spec({package!r}))"
    assert run([str(alone), "-c", code]).strip() == "None"


@pytest.mark.broker
def test_a_device_installed_alone_takes_part_in_a_round(alone: Path, tmp_path: Path) -> None:
    """The aggregator's side runs here, the device in the environment that has only the wheel."""
    fedge = [sys.executable, "-m", "fedge"]
    run([*fedge, "demo", "--devices", "1", "--rounds", "1", "--out", str(tmp_path / "first")])
    first, state = tmp_path / "first", tmp_path / "aggregator"
    with running("iotcore", tmp_path / "broker") as broker:
        words = f"aggregate --broker {broker.url} --rounds 2 --evaluate-every 0 --state-dir {state}"
        aggregator = subprocess.Popen(
            [*fedge, *words.split(), "--artifact", str(first / "model.fedge")]
        )
        try:
            words = f"-m fedge device --broker {broker.url} --id alone --exit-when-finished"
            words += f" --data {first}/data/device-1.npz --state-dir {tmp_path}/device"
            words += f" --json {tmp_path}/device.json"
            env = {**os.environ, "PYTHONPATH": ""}
            run([str(alone), *words.split()], cwd=tmp_path, env=env)
            assert aggregator.wait(30) == 0
        finally:
            aggregator.kill()
            aggregator.wait()
    report = json.loads((tmp_path / "device.json").read_text())
    assert report["updates_accepted"] == 2
