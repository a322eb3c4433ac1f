"""A program with commands: finds the module of the chosen one, runs it, and words its refusals.

Only the chosen command's module is imported, so `fedge device` never loads
what `fedge demo` needs.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Protocol

from fedge.cli.screen import say
from fedge.errors import FedgeError, MissingDependencyError
from fedge.text import line
from fedge.version import __version__

_OURS = (
    "fedge",
    "firmware_sim",
)  # if a module of ours is missing, that is a bug, not something to install


class _Parser(argparse.ArgumentParser):
    """A parser whose errors take one line; so do those of its subparsers."""

    def error(self, message: str) -> NoReturn:
        super().error(line(message))


class Command(Protocol):
    """What the module of a command has to define."""

    def configure(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, args: argparse.Namespace) -> int: ...


@dataclass(frozen=True, slots=True)
class Program:
    """A program with commands, which are the modules of one package."""

    name: str
    description: str
    package: str
    commands: Mapping[str, str]  # each with the one sentence that says what it does

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run one command; the result is the process's exit code."""
        if argv is None:  # this process is ours
            sys.excepthook = self._tell_uncaught
        words = list(sys.argv[1:] if argv is None else argv)
        name = next((word for word in words if not word.startswith("-")), None)
        try:
            parser, command = self._parser(name)
            args = parser.parse_args(words)
            return command.run(args) if command else 0
        except (FedgeError, OSError) as error:
            say(f"{self.name.split()[-1]}: {error}", to=sys.stderr)
            return getattr(error, "exit_code", 1)
        except (MemoryError, ImportError, SystemError) as error:
            sentence, code = _lack(error)
            say(f"{self.name.split()[-1]}: {sentence}", to=sys.stderr)
            return code
        except KeyboardInterrupt:
            return 130

    def _tell_uncaught(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        """In a sentence, if memory ran out where `main` could not catch it: as it returned."""
        if _is_lack_of_memory(error):
            say(f"{self.name.split()[-1]}: too little memory to run", to=sys.stderr)
        else:
            sys.__excepthook__(kind, error, trace)

    def _parser(self, name: str | None) -> tuple[argparse.ArgumentParser, Command | None]:
        parser = _Parser(
            prog=self.name,
            description=self.description,
            epilog=f"`{self.name} COMMAND --help` lists the options of a command.",
        )
        parser.add_argument("--version", action="version", version=f"fedge {__version__}")
        commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
        chosen = None
        for command, summary in self.commands.items():
            sub = commands.add_parser(
                command, help=summary, description=f"{self.name} {command}: {summary}."
            )
            if command == name:
                chosen = self._load(command)
                chosen.configure(sub)
                sub.add_argument(
                    "--json", type=Path, metavar="FILE", help="write the result to FILE as JSON"
                )
        return parser, chosen

    def _load(self, name: str) -> Command:
        module: Command = import_module(f"{self.package}.{name}")
        return module


def _lack(error: MemoryError | ImportError | SystemError) -> tuple[str, int]:
    """What this machine lacks, and the exit code for that; any other error is raised again."""
    if _is_lack_of_memory(error):
        return "too little memory to run", 1
    package = (getattr(error, "name", None) or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or package in _OURS:
        raise error
    return f"the package {package!r} is not installed here", MissingDependencyError.exit_code


def _is_lack_of_memory(error: BaseException) -> bool:
    """Whether memory is all that is missing.

    The linker reports that as an ImportError. Where the interpreter itself loses the failure of
    an allocation, as CPython 3.11 does in places of an import, it is a SystemError: a function
    that "returned NULL without setting an exception", or "a result with an exception set".
    """
    words = (
        "failed to map segment",
        "cannot allocate memory",
        "exception set",
        "without setting an exception",
    )
    if not isinstance(error, ImportError | SystemError):
        return isinstance(error, MemoryError)
    return any(one in str(error).lower() for one in words)


def write_json(path: Path | None, result: object) -> None:
    """Write a command's result where `--json` says."""
    if path is not None:
        path.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
