"""What the commands say of themselves: one sentence each, written once."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any
from unittest.mock import Mock

import pytest

from fedge.cli import main as fedge
from firmware_sim.cli import main as harness

PROGRAMS = [
    pytest.param(fedge.COMMANDS, fedge.main, "fedge.cli", id="fedge"),
    pytest.param(harness.COMMANDS, harness.main, "firmware_sim.cli", id="firmware_sim"),
]


def help_of(
    main: Callable[[list[str]], int], words: list[str], capsys: pytest.CaptureFixture[str]
) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("commands", "main", "package"), PROGRAMS)
def test_help_shows_each_commands_sentence(
    commands: Mapping[str, str], main: Any, package: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(main, [], capsys)
    for name, sentence in commands.items():
        assert f" {name} {sentence} " in f"{text} "


@pytest.mark.parametrize("name", fedge.COMMANDS)
def test_a_command_of_fedge_opens_with_the_same_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Changed in the one place, it is changed in both helps."""
    monkeypatch.setitem(fedge.COMMANDS, name, "do what nobody has heard of")
    assert f" {name} do what nobody has heard of" in help_of(fedge.main, [], capsys)
    assert f"fedge {name}: do what nobody has heard of." in help_of(fedge.main, [name], capsys)
    assert not hasattr(import_module(f"fedge.cli.{name}"), "HELP")


@pytest.mark.parametrize(("commands", "main", "package"), PROGRAMS)
def test_every_command_has_a_sentence(commands: Mapping[str, str], main: Any, package: str) -> None:
    """A module of the package that can be configured and run is a command."""
    modules = {
        name: import_module(f"{package}.{name}")
        for _, name, _ in iter_modules(import_module(package).__path__)
    }
    runnable = {
        name for name, it in modules.items() if hasattr(it, "configure") and hasattr(it, "run")
    }
    assert runnable == set(commands)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ImportError("x.so: failed to map segment from shared object"),
        ImportError("x.so: Cannot allocate memory"),
        # CPython 3.11 under `prlimit --as`
        SystemError("error return without exception set"),
        SystemError("<function f at 0x1> returned NULL without setting an exception"),
        SystemError("<class 'int'> returned a result with an exception set"),
    ],
    ids=repr,
)
def test_too_little_memory_is_a_sentence(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = import_module("fedge.cli.inspect")
    monkeypatch.setattr(command, "run", Mock(side_effect=error))
    assert fedge.main(["inspect", "x"]) == 1
    assert capsys.readouterr().err == "fedge: too little memory to run\n"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("SystemError('error return without exception set')", "fedge: too little memory to run\n"),
        ("MemoryError()", "fedge: too little memory to run\n"),
        ("SystemError('x')", "SystemError: x\n"),
        ("ValueError('exception set')", "ValueError: exception set\n"),
    ],
)
def test_memory_that_runs_out_as_the_command_returns_is_a_sentence_too(
    error: str, says: str
) -> None:
    """As CPython 3.11 was seen to do it: no frame of ours is left to catch it."""
    code = (
        "import sys; from fedge.cli.main import main; sys.argv[1:] = ['inspect', 'none'];"
        f" main(); raise {error}"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 1
    first, rest = ended.stderr.split("\n", 1)
    assert first.startswith("fedge: cannot read none")
    assert rest.endswith(says)
    assert ("Traceback" in rest) == (not says.startswith("fedge"))


@pytest.mark.parametrize("error", [ImportError("no name x"), SystemError("x")], ids=repr)
def test_any_other_error_of_python_itself_is_a_fault_of_ours(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = import_module("fedge.cli.inspect")
    monkeypatch.setattr(command, "run", Mock(side_effect=error))
    with pytest.raises(type(error)):
        fedge.main(["inspect", "x"])
