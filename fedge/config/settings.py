"""Settings from their sources: flags, then the environment, then a file, then defaults.

The first source that has a setting wins.

A setting has one name, its unit included, wherever it is given:

    fedge device --connect-timeout-s 30        flag
    FEDGE_DEVICE_CONNECT_TIMEOUT_S=30          environment variable
    connect_timeout_s = 30                     key of the TOML file
    Device(connect_timeout_s=30)               Python

Relative paths are relative to the working directory, whichever way they come.
"""

import argparse
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from fedge.config.fields import C, Setting, Settings, read_value, settings_of, variable_prefix
from fedge.errors import ConfigError

_MAX_FILE_BYTES = 1 << 20
_SERVICE = re.compile(
    r"_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$"
)
_ADDRESS = re.compile("(tcp|udp|sctp)://")


def load(
    cls: type[C], *, file: Path | None, env: Mapping[str, str], flags: Mapping[str, object]
) -> C:
    """The configuration that all sources together give.

    Args:
        cls: the dataclass to fill.
        file: a TOML file, if one was named.
        env: the environment; variables with the prefix of the section must be known.
        flags: by name; None is a flag that was not given; unknown names are ignored.

    Raises:
        ConfigError: naming the source, what was expected and what was found.
    """
    known = list(settings_of(cls))
    from_file, from_env = _read_file(file, known), _read_env(env, cls.section, known)
    values: dict[str, object] = {}
    for one in known:
        if flags.get(one.name) is not None:
            given, source = flags[one.name], f"flag {one.flag}"
        elif one.variable in from_env:
            given, source = from_env[one.variable], f"variable {one.variable}"
        elif one.name in from_file:
            given, source = from_file[one.name], f"{file}, key {one.name!r}"
        elif one.default is MISSING:
            or_set = f" or set {one.variable}" if one.variable else ""
            raise ConfigError(f"{one.name} is not set: give {one.flag}{or_set}")
        else:
            continue
        is_text = not source.startswith(f"{file}, ")
        values[one.name] = read_value(one, given, source, is_text=is_text)
    return cls(**values)


def add_flags(parser: argparse.ArgumentParser, cls: type[Settings]) -> None:
    """A flag for every setting, and `--config FILE` if it has a section; `load_args` reads them."""
    if cls.section:
        parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    for one in settings_of(cls):
        options: dict[str, Any] = {"dest": one.name, "default": None, "help": _help(one)}
        if one.kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["metavar"] = _metavar(one)
        parser.add_argument(one.flag, **options)


def load_args(cls: type[C], args: argparse.Namespace) -> C:
    """The configuration of a command whose flags `add_flags` made."""
    if not cls.section:
        return load(cls, file=None, env={}, flags=vars(args))
    return load(cls, file=args.config, env=os.environ, flags=vars(args))


def _read_file(file: Path | None, known: list[Setting]) -> dict[str, object]:
    if file is None:
        return {}
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_FILE_BYTES + 1)
        if len(data) > _MAX_FILE_BYTES:
            raise ConfigError(f"{file}: expected at most {_MAX_FILE_BYTES} bytes of settings")
        found = tomllib.loads(data.decode())
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: expected TOML: {error}") from error
    names = [one.name for one in known]
    for key in found:
        if key not in names:
            raise ConfigError(f"{file}, key {key!r}: expected one of {', '.join(names)}")
    return found


def _read_env(env: Mapping[str, str], section: str, known: list[Setting]) -> dict[str, str]:
    """The variables of a section; empty ones and those that Kubernetes sets count as not set."""
    prefix = variable_prefix(section)
    found = {
        name: text
        for name, text in env.items()
        if name.startswith(prefix) and text and not _is_of_kubernetes(name, text)
    }
    names = [one.variable for one in known]
    for name in found:
        if name not in names:
            raise ConfigError(f"variable {name}: expected one of {', '.join(names)}")
    return found


def _is_of_kubernetes(name: str, text: str) -> bool:
    """Whether it describes a service, whose name may begin with fedge-device.

    Source: Kubernetes, Services, "Environment variables" (docker-compatible links included).
    """
    return _SERVICE.search(name) is not None or (
        name.endswith("_PORT") and _ADDRESS.match(text) is not None
    )


def _metavar(one: Setting) -> str:
    if one.choices:
        return "{" + ",".join(one.choices) + "}"
    return one.unit.upper() or {int: "N", float: "X", Path: "PATH"}.get(one.kind, "TEXT")


def _help(one: Setting) -> str:
    """One row of `--help`: what it is, what it may be, where else it can be set."""
    rule = f"; {one.rule.expected}" if one.rule else ""
    rule += f", or {one.off}" if one.off else ""
    return f"{one.about}{rule}{_default(one)}".replace("%", "%%")


def _default(one: Setting) -> str:
    """The default and the variable, in brackets; "" if there is neither."""
    parts = []
    if one.default is MISSING:
        parts.append("required")
    elif one.default is not None:
        parts.append(f"default {one.default}")
    if one.variable:
        parts.append(one.variable)
    return f" ({'; '.join(parts)})" if parts else ""
