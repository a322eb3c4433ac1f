"""A command of several: finds the chosen one's module, runs it, turns refusals into sentences.

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
from typing import NoReturn, Protocol

from fedge.cli.screen import say
from fedge.errors import FedgeError, MissingDependencyError
from fedge.text import line
from fedge.version import __version__

_OURS = ("fedge", "firmware_sim")  # a module of these that is missing is a fault, not a lack


class _Parser(argparse.ArgumentParser):
    """Its subparsers are of its kind."""

    def error(self, message: str) -> NoReturn:
        super().error(line(message))


class Command(Protocol):
    """What the module of a command gives."""

    def configure(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, args: argparse.Namespace) -> int: ...


@dataclass(frozen=True, slots=True)
class Program:
    """What a terminal calls `name`: its commands are the modules of one package."""

    name: str
    description: str
    package: str
    commands: Mapping[str, str]  # its name to what it does

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run one command; the result is the process's exit code."""
        words = list(sys.argv[1:] if argv is None else argv)
        name = next((word for word in words if not word.startswith("-")), None)
        try:
            parser, command = self._parser(name)
            args = parser.parse_args(words)
            return command.run(args) if command else 0
        except (FedgeError, OSError) as error:
            say(f"{self.name.split()[-1]}: {error}", to=sys.stderr)
            return getattr(error, "exit_code", 1)
        except (MemoryError, ImportError) as error:
            sentence, code = _lack(error)
            say(f"{self.name.split()[-1]}: {sentence}", to=sys.stderr)
            return code
        except KeyboardInterrupt:
            return 130

    def _parser(self, name: str | None) -> tuple[argparse.ArgumentParser, Command | None]:
        parser = _Parser(
            prog=self.name,
            description=self.description,
            epilog=f"`{self.name} COMMAND --help` says what a command takes.",
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


def _lack(error: MemoryError | ImportError) -> tuple[str, int]:
    """What the machine lacks, and the exit code for it; any other fault is raised again."""
    if _is_lack_of_memory(error):
        return "too little memory to run", 1
    package = (getattr(error, "name", None) or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or package in _OURS:
        raise error
    return f"the package {package!r} is not installed here", MissingDependencyError.exit_code


def _is_lack_of_memory(error: MemoryError | ImportError) -> bool:
    """Whether nothing else is wrong: the linker's words for it reach us as an ImportError."""
    words = ("failed to map segment", "cannot allocate memory")
    return isinstance(error, MemoryError) or any(one in str(error).lower() for one in words)


def write_json(path: Path | None, result: object) -> None:
    """Write a command's result where `--json` says."""
    if path is not None:
        path.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
