"""A default is written once: whoever else needs it takes it from there."""

import argparse
import ast
import subprocess
import sys
from collections import Counter
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import pytest

from fedge.bench.device.native import as_demo
from fedge.bench.device.options import Options
from fedge.cli import demo as demo_command
from fedge.cli.main import main
from fedge.config.aggregator import AggregatorConfig
from fedge.config.broker import BrokerConfig
from fedge.config.common import Process
from fedge.config.device import DeviceConfig
from fedge.config.fields import Setting, Settings, settings_of
from fedge.config.settings import load, load_args
from fedge.errors import ConfigError
from fedge.setting import above, at_least, default_of, setting_of
from fedge.simulation.demo import plan_settings
from fedge.simulation.options import DemoOptions
from fedge.training import Plan
from fedge.transport.url import BrokerUrl
from firmware_sim.fleet.options import FleetOptions

ROOT = Path(__file__).parents[3]
PLAN = [pytest.param(item, id=item.name) for item in fields(Plan)]


def field(cls: Any, name: str) -> Field[Any]:
    found: Field[Any] = cls.__dataclass_fields__[name]
    return found


def one(cls: type[Settings], name: str) -> Setting:
    (found,) = (each for each in settings_of(cls) if each.name == name)
    return found


@pytest.mark.parametrize("item", PLAN)
def test_a_field_of_a_plan_is_a_setting_of_the_aggregator(item: Field[Any]) -> None:
    """The very same range, the very same default, of the same type, with the same help.

    The share to hold out alone may be unset: then it depends on whether devices evaluate models.
    """
    setting = field(AggregatorConfig, item.name)
    if item.name == "validation":
        assert (setting.default, setting.type) == (None, float | None)
    else:
        assert setting.default is item.default
        assert setting.type == item.type
    assert setting.metadata["rule"] is item.metadata["rule"]
    assert setting.metadata["about"].startswith(item.metadata["about"])


@pytest.mark.parametrize("item", PLAN)
def test_a_field_of_a_plan_is_an_option_of_the_demo(item: Field[Any]) -> None:
    """The learning rate alone may be unset: then it depends on the loss."""
    option = field(DemoOptions, item.name)
    if item.name == "lr":
        assert (option.default, option.type) == (None, float | None)
    else:
        assert option.default is item.default
        assert option.type == item.type
    assert option.metadata["rule"] is item.metadata["rule"]
    assert option.metadata["about"].startswith(item.metadata["about"])


@pytest.mark.parametrize("item", PLAN)
def test_every_flag_of_a_plan_reaches_the_plan(item: Field[Any]) -> None:
    """Through the demo's flags, the aggregator's flags that these become, and its settings."""
    value = {"local_steps": 3, "epochs": 3, "codec": "int8", "algorithm": "scaffold"}.get(
        item.name, 0.5
    )
    value = 7 if item.type is int else value
    parser = argparse.ArgumentParser()
    demo_command.configure(parser)
    flag = f"--{item.name.replace('_', '-')}"
    options = load_args(DemoOptions, parser.parse_args([flag, str(value)]))
    plan = options.plan("mse")
    assert getattr(plan, item.name) == value
    flags = {name: str(text) for name, text in plan_settings(plan).items()}
    config = load(AggregatorConfig, file=None, env={}, flags={"artifact": "a", **flags})
    assert config.plan() == plan


def test_what_a_demo_decides_by_itself() -> None:
    plan = DemoOptions().plan("cross_entropy")
    assert (plan.local_steps, plan.epochs, plan.lr) == (20, None, 0.2)
    assert DemoOptions().plan("mse").lr == 0.02
    assert DemoOptions(lr=0.5).plan("mse").lr == 0.5
    assert DemoOptions(epochs=2).plan("mse").local_steps is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--alpha", "0"], "flag --alpha: expected a number, more than 0, found '0'"),
        (["--rounds", "none"], "flag --rounds: expected a whole number, at least 1, found 'none'"),
        (["--momentum", "1"], "flag --momentum: expected a number, at least 0 and below 1, found"),
        (["--lr", "1001"], "flag --lr: expected a number, more than 0, up to 1000, found '1001'"),
        (["--epochs", "1", "--local-steps", "1"], "plan: give local_steps or epochs, not both"),
    ],
)
def test_the_demo_refuses_what_a_plan_refuses(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", *words]) == ConfigError.exit_code
    assert capsys.readouterr().err.startswith(f"fedge: {sentence}")


@pytest.mark.parametrize("item", [pytest.param(item, id=item.name) for item in fields(Process)])
def test_what_two_processes_share_is_declared_once(item: Field[Any]) -> None:
    for cls in (AggregatorConfig, DeviceConfig):
        assert field(cls, item.name).default is item.default
        assert field(cls, item.name).type == item.type
        assert field(cls, item.name).metadata == item.metadata


def test_the_broker_listens_where_processes_look_for_it() -> None:
    at = BrokerUrl.parse(DeviceConfig().broker)
    assert (at.host, at.port) == (BrokerConfig().host, BrokerConfig().port)


def test_a_bench_of_a_device_is_the_demo_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    plain = DemoOptions(out=tmp_path, devices=8, rounds=Options().rounds)
    assert as_demo(Options(), tmp_path) == plain
    assert as_demo(Options(local_steps=3, codec="int8"), tmp_path) == DemoOptions(
        out=tmp_path, devices=8, rounds=Options().rounds, local_steps=3, codec="int8"
    )


CHANGED = {
    "BATCH_SIZE = 16": "BATCH_SIZE = 48",
    "setting(0.1, rule": "setting(0.7, rule",
    '"topk:0.01/sign"': '"int8"',
}
# A change of the one source is a change everywhere, whoever imported it.
PROGRAM = """
import argparse, importlib.machinery, inspect, sys
plain = importlib.machinery.SourceFileLoader.get_code
def changed(self, name):
    if name != "fedge.training.plan":
        return plain(self, name)
    text = open(self.path).read()
    for old, new in {changes!r}.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return compile(text, self.path, "exec")
importlib.machinery.SourceFileLoader.get_code = changed

from fedge.builder import build_artifact
from fedge.cli import aggregate, build, demo
from fedge.config.aggregator import AggregatorConfig
from fedge.simulation.options import DemoOptions
from firmware_sim.fleet.options import FleetOptions

config = AggregatorConfig(artifact="a.fedge")
print(config.batch_size, config.lr, config.codec, config.plan().lr)
print(DemoOptions().batch_size, DemoOptions().codec, DemoOptions().plan("mse").codec)
print(FleetOptions(folder="f", members=()).codec)
print(inspect.signature(build_artifact).parameters["batch_size"].default)
for command in (aggregate, demo, build):
    parser = argparse.ArgumentParser()
    command.configure(parser)
    text = " ".join(parser.format_help().split())
    assert "examples in a step" in text
    assert "48" in text.partition("examples in a step")[2][:40], text
"""


def test_a_default_that_is_changed_in_the_plan_is_changed_everywhere() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{changes!r}", repr(CHANGED))],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.stderr == ""
    assert done.stdout.split() == [
        *["48", "0.7", "int8", "0.7"],
        *["48", "int8", "int8"],
        "int8",
        "48",
    ]


def defaults(tree: ast.Module) -> Counter[str]:
    """Specs that stand as the default of a field, a parameter or a flag."""
    found: Counter[str] = Counter()
    for node in ast.walk(tree):
        values: list[ast.expr | None] = []
        if isinstance(node, ast.AnnAssign):
            values = [node.value]
            if isinstance(node.value, ast.Call):
                values = [*node.value.args, *(word.value for word in node.value.keywords)]
        elif isinstance(node, ast.arguments):
            values = [*node.defaults, *node.kw_defaults]
        elif isinstance(node, ast.keyword) and node.arg == "default":
            values = [node.value]
        found.update(
            value.value
            for value in values
            if isinstance(value, ast.Constant) and isinstance(value.value, str)
        )
    return found


def test_a_spec_is_the_default_of_one_field_only() -> None:
    found: Counter[str] = Counter()
    for folder in ("fedge", "firmware_sim"):
        for file in (ROOT / folder).rglob("*.py"):
            found += defaults(ast.parse(file.read_text()))
    wanted: Counter[str] = Counter(
        [
            default_of(Plan, "codec"),
            default_of(Plan, "algorithm"),
            default_of(AggregatorConfig, "downlink_codec"),
            default_of(AggregatorConfig, "strategy"),
        ]
    )
    assert {spec: found[spec] for spec in wanted} == wanted


def test_the_boards_train_as_the_demo_does() -> None:
    for name in ("codec", "local_steps", "seed"):
        assert field(FleetOptions, name).default is field(DemoOptions, name).default


def test_a_taken_field_keeps_a_factory_and_a_secret() -> None:
    assert (
        setting_of(DeviceConfig, "id").default_factory is field(DeviceConfig, "id").default_factory
    )
    assert setting_of(Process, "broker").repr is False
    other = setting_of(Plan, "lr", default=None, note="; or not")
    assert other.default is None
    assert other.metadata["about"] == field(Plan, "lr").metadata["about"] + "; or not"
    assert setting_of(AggregatorConfig, "artifact").default is MISSING


def test_a_range_says_its_ends() -> None:
    assert (at_least(0, below=1).expected, above(0, up_to=9).expected) == (
        "at least 0 and below 1",
        "more than 0, up to 9",
    )
    assert [at_least(0, below=1).holds(value) for value in (-1e-9, 0, 0.5, 1)] == [
        False,
        True,
        True,
        False,
    ]
    assert [above(0, up_to=9).holds(value) for value in (0, 1e-9, 9, 9.1)] == [
        False,
        True,
        True,
        False,
    ]
    assert not at_least(0, below=1).holds(float("nan"))


def test_a_command_with_flags_only_reads_no_variable_and_no_file() -> None:
    parser = argparse.ArgumentParser()
    demo_command.configure(parser)
    text = parser.format_help()
    assert "FEDGE_" not in text
    assert "--config" not in text
    assert one(DemoOptions, "rounds").variable == ""
