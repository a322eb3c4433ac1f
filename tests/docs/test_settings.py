"""A setting has one name in the four places, and the example files have all of them."""

import argparse
import re
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from fedge import codecs, strategies
from fedge.codecs import Scheme
from fedge.config.aggregator import AggregatorConfig
from fedge.config.broker import BrokerConfig
from fedge.config.device import DeviceConfig
from fedge.config.fields import Setting, Settings, settings_of
from fedge.config.settings import add_flags, load, load_args
from fedge.errors import ConfigError

DOCS = Path(__file__).parents[2] / "docs"
CLASSES: dict[str, type[Any]] = {
    "device": DeviceConfig,
    "aggregator": AggregatorConfig,
    "broker": BrokerConfig,
}
EACH = [pytest.param(name, id=name) for name in CLASSES]
CASES = [
    pytest.param(cls, name, id=f"{section}-{name}")
    for section, cls in CLASSES.items()
    for name in (field.name for field in fields(cls))
]
REQUIRED = {"aggregator": {"artifact": "a.fedge"}, "device": {}, "broker": {}}


def a_value(one: Setting) -> Any:
    """Something that the setting takes and that is not its default."""
    if one.choices:
        return next(choice for choice in one.choices if choice != one.default)
    known: dict[type, list[Any]] = {
        bool: [True],
        str: ["abc", "80%"],
        Path: ["a/b"],
        int: [5, 100],
        float: [0.5, 100.0],
    }
    for value in known[one.kind]:
        if one.rule is None or one.rule.holds(value):
            return value
    raise AssertionError(one)


@pytest.mark.parametrize(("cls", "name"), CASES)
def test_a_setting_has_the_same_name_as_flag_variable_key_and_in_python(
    cls: type[Settings], name: str, tmp_path: Path
) -> None:
    """The names are made here, not asked for: the field's, with dashes, in capitals, as it is."""
    one = next(one for one in settings_of(cls) if one.name == name)
    value, section = a_value(one), cls.section
    required = {key: text for key, text in REQUIRED[section].items() if key != name}
    in_python = cls(**{**required, name: value})
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_flags(parser, cls)
    flag = f"--{name.replace('_', '-')}"
    words = [flag] if value is True else [flag, str(value)]
    words += [word for key, text in required.items() for word in (f"--{key}", text)]
    by_flag = load_args(cls, parser.parse_args(words))
    variable = f"FEDGE_{section.upper()}_{name.upper()}"
    by_variable = load(cls, file=None, env={variable: str(value)}, flags=required)
    file = tmp_path / "settings.toml"
    written = str(value).lower() if isinstance(value, bool) else repr(value)
    file.write_text(f"{name} = {written}\n")
    by_file = load(cls, file=file, env={}, flags=required)
    assert by_flag == by_variable == by_file == in_python
    assert getattr(in_python, name) != one.default


def commented(text: str) -> Iterator[tuple[str, str]]:
    """The settings that stand behind a #: name and the line."""
    for line in re.findall(r"(?m)^# (\w+ = .*)$", text):
        yield line.split(" = ")[0], line


@pytest.mark.parametrize("section", EACH)
def test_the_example_file_loads_and_has_every_setting_once(section: str) -> None:
    cls, file = CLASSES[section], DOCS / "examples" / f"{section}.toml"
    config = load(cls, file=file, env={}, flags={})
    given = tomllib.loads(file.read_text())
    for name, value in given.items():
        assert str(getattr(config, name)) == str(value)
    mentioned = [*given, *(name for name, _ in commented(file.read_text()))]
    assert sorted(mentioned) == sorted(field.name for field in fields(cls))


@pytest.mark.parametrize("section", EACH)
def test_what_stands_behind_a_hash_is_the_default_or_an_example(
    section: str, tmp_path: Path
) -> None:
    cls = CLASSES[section]
    known = {one.name: one for one in settings_of(cls)}
    for name, line in commented((DOCS / "examples" / f"{section}.toml").read_text()):
        (tmp_path / "one.toml").write_text(f"{line}\n")
        config = load(cls, file=tmp_path / "one.toml", env={}, flags=REQUIRED[section])
        if known[name].default not in {None, MISSING}:
            assert getattr(config, name) == known[name].default, line


def expanded(spec: str) -> Iterator[str]:
    """What a spec stands for: with and without what is in brackets, with numbers for letters."""
    head, bracket, tail = spec.partition("[")
    if bracket:
        inside, _, rest = tail.partition("]")
        yield from expanded(head + rest)
        yield from expanded(head + inside + rest)
    else:
        known = {"BYTES": "200", "F": "0.5", "eden:B": "eden:2", "relax:G": "relax:1.5"}
        for name, value in known.items():
            spec = spec.replace(name, value)
        yield spec


def test_help_lists_every_codec_and_strategy() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, AggregatorConfig)
    text = "".join(parser.format_help().split())
    for spec in (*codecs.SPECS, *strategies.SPECS):
        assert spec in text
    for spec in codecs.SPECS:
        for one in expanded(spec):
            assert codecs.get(one).spec == one
    kinds = {re.split("[:/+]", scheme.name.lower().replace("_", "/"))[0] for scheme in Scheme}
    assert kinds == {"dense", "sparse", "rotated", "masked"}  # another kind belongs into SPECS
    for values in ("sign", "int4", "int8", "float32"):
        assert any(spec.startswith(f"topk:F/{values}") for spec in codecs.SPECS)
    for spec in strategies.SPECS:
        name = spec.partition("[")[0].replace("=N", "=2")
        for one in expanded(spec.replace("=N", "=2")):
            assert strategies.get(one) == strategies.get(name)


def test_the_python_of_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block as it stands, up to `run`, which is refused for want of an artifact."""
    (block,) = re.findall(r"(?ms)^```python\n(.*?)^```$", (DOCS / "settings.md").read_text())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot read model\.fedge"):
        exec(block, {})  # noqa: S102 - our own document
