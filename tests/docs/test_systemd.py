"""The units of docs/systemd: systemd takes them, and what they forbid the processes do without."""

import ctypes
import dataclasses
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fedge import errors
from fedge.config.aggregator import AggregatorConfig
from fedge.config.device import DeviceConfig
from tests.support import models
from tests.support.broker import Broker, mosquitto
from tests.support.processes import environment, wait_until, write_examples
from tests.support.tools import missing, need_tool

__all__ = ["mosquitto"]

UNITS = Path(__file__).parents[2] / "docs" / "systemd"
CONFIGS: dict[str, type[Any]] = {"device": DeviceConfig, "aggregator": AggregatorConfig}
EACH = pytest.mark.parametrize("which", CONFIGS)
_PR_SET_MDWE, _REFUSE_EXEC_GAIN = 65, 1  # linux/prctl.h: what MemoryDenyWriteExecute= is made of
_FEDGE = f"""
import ctypes, sys
if ctypes.CDLL(None, use_errno=True).prctl({_PR_SET_MDWE}, {_REFUSE_EXEC_GAIN}, 0, 0, 0):
    sys.exit("no PR_SET_MDWE")
from fedge.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def settings(which: str) -> list[tuple[str, str]]:
    """The unit's lines, `Key=value`, in order."""
    text = (UNITS / f"fedge-{which}.service").read_text()
    return re.findall(r"(?m)^([A-Z]\w+)=(.*)$", text)


def of(which: str, key: str) -> list[str]:
    return [value for name, value in settings(which) if name == key]


def with_a_program(which: str, folder: Path) -> Path:
    """The unit as it stands, but for a program that is there."""
    unit = UNITS / f"fedge-{which}.service"
    bin_ = Path(sys.executable).parent / "fedge"
    target = folder / unit.name
    target.write_text(unit.read_text().replace("/opt/fedge/bin/fedge", str(bin_)))
    return target


@EACH
def test_systemd_finds_nothing_wrong_with_the_unit(which: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [need_tool("systemd-analyze"), "verify", "--man=no", str(with_a_program(which, tmp_path))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@EACH
def test_systemd_calls_its_exposure_small(which: str, tmp_path: Path) -> None:
    """At most 2.0 of 10; a service without any hardening has 9.6."""
    tool, unit = need_tool("systemd-analyze"), str(with_a_program(which, tmp_path))
    words = [tool, "security", "--offline=yes", "--threshold=20", "--no-pager", unit]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


@EACH
def test_the_unit_names_settings_and_exit_codes_that_there_are(which: str) -> None:
    assert of(which, "WantedBy") == ["multi-user.target"]
    assert of(which, "StateDirectoryMode") == ["0700"]
    known = {field.name for field in dataclasses.fields(CONFIGS[which])} | {"password_file"}
    for variable in of(which, "Environment"):
        name = variable.partition("=")[0].removeprefix(f"FEDGE_{which.upper()}_").lower()
        assert name in known
    codes = {int(code) for line in of(which, "RestartPreventExitStatus") for code in line.split()}
    own: set[type[errors.FedgeError]] = {
        errors.ConfigError,
        errors.IdentityError,
        errors.MissingDependencyError,
    }
    if which == "aggregator":  # a device's data may be under way, its artifacts come from outside
        own |= {errors.ArtifactError, errors.DataError}
    assert codes == {error.exit_code for error in own}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """What the page says has to be there: the settings' files, the data, a password."""
    if ctypes.CDLL(None).prctl(_PR_SET_MDWE + 1, 0, 0, 0, 0) < 0:  # PR_GET_MDWE
        missing("a kernel with PR_SET_MDWE, Linux 6.3, is not running")
    for tool in ("strace", "systemd-analyze"):
        need_tool(tool)
    models.linear().save(tmp_path / "model.fedge")
    write_examples(tmp_path / "examples.npz")
    (tmp_path / "broker-password").write_text("unused\n")
    (tmp_path / "broker-password").chmod(0o600)
    for which in CONFIGS:
        (tmp_path / f"fedge-{which}").mkdir(mode=0o700)
    return tmp_path


class Unit:
    """A unit's process, started as systemd would, under strace."""

    def __init__(self, which: str, place: Path) -> None:
        self.which, self._place = which, place
        self.trace = place / f"{which}.strace"
        (command,) = of(which, "ExecStart")
        words = self._expanded(command).split()[1:]
        strace = [need_tool("strace"), "-f", "-o", str(self.trace)]
        with (place / f"{which}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*strace, sys.executable, "-c", _FEDGE, *words],
                cwd=place / f"fedge-{which}",
                env={**environment(place), **dict(self._variables())},
                stdout=log,
                stderr=log,
                umask=int(of(which, "UMask")[0], 8),
            )

    def said(self) -> str:
        return (self._place / f"{self.which}.log").read_text()

    def calls(self) -> set[str]:
        """Names of the system calls it made."""
        return set(re.findall(r"(?m)^\d+ +(\w+)\(", self.trace.read_text(errors="replace")))

    def families(self) -> set[str]:
        text = self.trace.read_text(errors="replace")
        return set(re.findall(r"(?m)^\d+ +socket(?:pair)?\((AF_\w+)", text))

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _expanded(self, text: str) -> str:
        """Specifiers and folders as the test has them."""
        for name, there in (("%S", self._place), ("%d", self._place), ("/etc/fedge", self._place)):
            text = text.replace(name, str(there))
        return text

    def _variables(self) -> Iterator[tuple[str, str]]:
        known = {field.name.upper() for field in dataclasses.fields(CONFIGS[self.which])}
        for line in of(self.which, "Environment"):
            name, _, value = line.partition("=")
            if name.removeprefix(f"FEDGE_{self.which.upper()}_") in known:
                yield name, self._expanded(value)


def allowed(which: str) -> set[str]:
    """The system calls that the unit's filters let through, as this machine's systemd has them."""
    taken: set[str] = set()
    for line in of(which, "SystemCallFilter"):
        if line.startswith("~"):
            taken -= members(line[1:])
        else:
            taken |= members(line)
    return taken


def members(group: str) -> set[str]:
    words = [need_tool("systemd-analyze"), "syscall-filter", group]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    names = [line.strip() for line in listed.splitlines()[1:]]
    found = {name for name in names if name and name[0] not in "#@"}
    return found.union(*(members(name) for name in names if name.startswith("@")))


@pytest.mark.broker
@pytest.mark.slow
def test_both_do_a_whole_job_within_what_their_units_allow(place: Path, mosquitto: Broker) -> None:
    """No memory that can be written is made executable, and neither a system call nor an address
    family is used that the unit forbids; nothing is written outside of the state directory."""
    url = mosquitto.url.replace("//", "//fedge@")
    (place / "aggregator.toml").write_text(
        f'broker = "{url}"\nartifact = "{place / "model.fedge"}"\nrounds = 2\n'
        f'test_data = "{place / "examples.npz"}"\nlocal_steps = 3\nlr = 0.05\n'
    )
    (place / "device.toml").write_text(
        f'broker = "{url}"\nid = "kitchen"\ndata = "{place / "examples.npz"}"\n'
        "exit_when_finished = true\n"
    )
    before = {path for path in place.rglob("*") if path.is_file()}
    aggregator, device = Unit("aggregator", place), Unit("device", place)
    try:
        wait_until(lambda: aggregator.process.poll() is not None, timeout_s=120)
        wait_until(lambda: device.process.poll() is not None, timeout_s=60)
    finally:
        aggregator.stop()
        device.stop()
    for unit in (aggregator, device):
        assert unit.process.returncode == 0, unit.said()
        as_root = {"fchown"} if os.geteuid() == 0 else set()  # SQLite's, of root alone
        assert unit.calls() - allowed(unit.which) - as_root == set()
        (families,) = of(unit.which, "RestrictAddressFamilies")
        assert unit.families() <= set(families.split())
    made = {path for path in place.rglob("*") if path.is_file()} - before
    folders = {path.relative_to(place).parts[0] for path in made}
    logs = {"aggregator.log", "aggregator.strace", "device.log", "device.strace"}
    assert folders - logs - {"broker"} == {"fedge-aggregator", "fedge-device"}


def test_the_user_of_the_units_is_the_one_that_is_made(tmp_path: Path) -> None:
    (line,) = [one for one in (UNITS / "fedge.conf").read_text().splitlines() if one[0] != "#"]
    assert line.split()[:2] == ["u", "fedge"]
    assert {user for which in CONFIGS for user in of(which, "User")} == {"fedge"}
    tool = shutil.which("systemd-sysusers")
    if tool is not None:
        (tmp_path / "etc").mkdir()
        subprocess.run(
            [tool, f"--root={tmp_path}", "--dry-run", str(UNITS / "fedge.conf")], check=True
        )
