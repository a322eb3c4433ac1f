"""What a setting is to files, flags and the environment: a name, a type and what it may be."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Any,
    ClassVar,
    Literal,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from fedge.errors import ConfigError
from fedge.setting import Rule

_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_KINDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    Path: "a path",
    bool: "yes or no",
}
_UNITS = {"_s": "seconds", "_bytes": "bytes"}


class Settings(Protocol):
    """A configuration: a frozen dataclass of `setting` fields.

    `section` is in the names of its environment variables; "" is that of a command which has
    only flags.
    """

    section: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


C = TypeVar("C", bound=Settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One field, as files, flags and the environment see it."""

    name: str
    section: str
    kind: type  # str, int, float, bool or Path
    choices: tuple[str, ...]  # of a Literal; empty for all others
    is_optional: bool
    about: str
    rule: Rule | None
    off: str | None  # the word for None
    default: object  # MISSING if it must be given

    @property
    def unit(self) -> str:
        """What the number counts; "" where the field's name does not say."""
        return next((unit for end, unit in _UNITS.items() if self.name.endswith(end)), "")

    @property
    def flag(self) -> str:
        """Its flag: the same name, its words joined by dashes."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its environment variable; "" where there are only flags."""
        return variable_prefix(self.section) + self.name.upper() if self.section else ""

    @property
    def expected(self) -> str:
        """The values it takes, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        rule = f", {self.rule.expected}" if self.rule else ""
        return _KINDS[self.kind] + rule + (f", or {self.off}" if self.off else "")


def variable_prefix(section: str) -> str:
    """What the names of a section's environment variables begin with."""
    return f"FEDGE_{section.upper()}_"


def settings_of(cls: type[Settings]) -> Iterator[Setting]:
    """The settings of a configuration class, in the order of its fields."""
    hints = get_type_hints(cls)
    for item in fields(cls):
        kind, choices, is_optional = _kind_of(hints[item.name])
        factory = item.default_factory
        yield Setting(
            name=item.name,
            section=cls.section,
            kind=kind,
            choices=choices,
            is_optional=is_optional,
            about=item.metadata["about"],
            rule=item.metadata["rule"],
            off=item.metadata["off"],
            default=item.default if factory is MISSING else factory(),
        )


def read_value(one: Setting, value: object, source: str, *, is_text: bool) -> object:
    """The value in the field's type, if the setting takes it.

    Args:
        one: the setting.
        value: what was given.
        source: where it was given, for the error.
        is_text: whether a text may stand for a number or a yes, as in flags and variables.

    Raises:
        ConfigError: naming the source, what was expected and what was found.
    """
    if one.off is not None and value == one.off:
        return None
    try:
        found = _parse(one.kind, value) if isinstance(value, str) and is_text else value
        found = _convert(one.kind, found)
    except ValueError:
        found = None
    if found is None or not _is_taken(one, found):
        raise ConfigError(f"{source}: expected {one.expected}, found {value!r}")
    return found


def check(config: Settings) -> None:
    """For `__post_init__`: refuse what no source could have given; a path may be given as text.

    Raises:
        ConfigError: naming the setting.
    """
    for one in settings_of(type(config)):
        value = getattr(config, one.name)
        if value is not None or not one.is_optional:
            found = read_value(one, value, f"setting {one.name}", is_text=False)
            object.__setattr__(config, one.name, found)  # frozen only after this


def given(cls: type[C], config: C | None, settings: Mapping[str, object]) -> C:
    """The configuration that a program gives: a whole one, settings by name, or both.

    Raises:
        ConfigError: naming a setting that is unknown, missing or out of range.
    """
    known = list(settings_of(cls))
    for name in settings:
        if name not in [one.name for one in known]:
            raise ConfigError(
                f"setting {name}: expected one of {', '.join(one.name for one in known)}"
            )
    if config is not None:
        return replace(config, **settings)
    for one in known:
        if one.default is MISSING and one.name not in settings:
            raise ConfigError(f"setting {one.name}: expected {one.expected}, found none")
    return cls(**settings)


def _kind_of(hint: Any) -> tuple[type, tuple[str, ...], bool]:
    """The type that an annotation means, its choices, and whether it allows None."""
    # A Literal or None is a Union of `typing`, any other type or None a UnionType.
    is_optional = isinstance(hint, UnionType) or get_origin(hint) is Union
    if is_optional:
        hint = next(kind for kind in get_args(hint) if kind is not NoneType)
    if get_origin(hint) is Literal:
        return str, get_args(hint), is_optional
    if hint not in _KINDS:
        raise TypeError(f"a setting cannot be of type {hint}")
    return hint, (), is_optional


def _parse(kind: type, text: str) -> object:
    if kind is bool:
        return _BOOLEANS.get(text.lower())
    return kind(text)


def _convert(kind: type, value: object) -> object:
    """The value converted to this type, or None where that would lose something."""
    if kind is float and type(value) is int:
        return float(value)
    if kind is Path and isinstance(value, str | Path):
        return Path(value).expanduser() if str(value) else None
    return value if type(value) is kind else None


def _is_taken(one: Setting, value: object) -> bool:
    if isinstance(value, float) and not math.isfinite(value):
        return False
    if one.choices:
        return value in one.choices
    return one.rule is None or one.rule.holds(value)
