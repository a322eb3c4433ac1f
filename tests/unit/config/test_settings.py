"""Settings from flags, the environment and files."""

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.config.aggregator import AggregatorConfig
from fedge.config.broker import BrokerConfig
from fedge.config.common import host_id
from fedge.config.device import DeviceConfig
from fedge.config.fields import Settings, check, settings_of
from fedge.config.login import broker_url
from fedge.config.settings import add_flags, load, load_args
from fedge.errors import ConfigError
from fedge.setting import at_least, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class OvenConfig:
    """An oven."""

    section: ClassVar[str] = "oven"

    dish: str = setting(about="what to bake")
    heat: int = setting(200, rule=at_least(50), about="degrees Celsius")
    wait_s: float = setting(1.5, rule=at_least(0), about="how long to preheat")
    fan: bool = setting(default=False, about="whether the fan turns")
    mode: Literal["top", "bottom"] = setting("top", about="which coil is on")
    recipe: Path | None = setting(None, about="where the recipe is")

    def __post_init__(self) -> None:
        check(self)


def bake(
    tmp_path: Path, toml: str | None = None, env: dict[str, str] | None = None, **flags: object
) -> OvenConfig:
    file = None
    if toml is not None:
        file = tmp_path / "oven.toml"
        file.write_text(toml)
    return load(OvenConfig, file=file, env=env or {}, flags=flags)


def test_flags_win_over_the_environment_over_the_file_over_defaults(tmp_path: Path) -> None:
    toml = 'dish = "file"\nheat = 111\nwait_s = 3\n'
    env = {"FEDGE_OVEN_DISH": "env", "FEDGE_OVEN_HEAT": "222", "OTHER": "x"}
    assert bake(tmp_path, toml, env, dish="flag", heat=None) == OvenConfig(
        dish="flag", heat=222, wait_s=3.0
    )


def test_every_type_can_be_written_everywhere(tmp_path: Path) -> None:
    want = OvenConfig(dish="pie", heat=99, wait_s=0.25, fan=True, mode="bottom", recipe=Path("a/b"))
    toml = 'dish="pie"\nheat=99\nwait_s=0.25\nfan=true\nmode="bottom"\nrecipe="a/b"'
    env = {"DISH": "pie", "HEAT": "99", "WAIT_S": "0.25", "FAN": "yes", "MODE": "bottom"}
    env = {f"FEDGE_OVEN_{name}": text for name, text in env.items()} | {"FEDGE_OVEN_RECIPE": "a/b"}
    words = ["--dish=pie", "--heat=99", "--wait-s=0.25", "--fan", "--mode=bottom", "--recipe=a/b"]
    parser = argparse.ArgumentParser()
    add_flags(parser, OvenConfig)
    assert bake(tmp_path, toml) == want
    assert bake(tmp_path, env=env) == want
    assert load_args(OvenConfig, parser.parse_args(words)) == want


def test_a_missing_setting_says_how_to_give_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dish is not set: give --dish or set FEDGE_OVEN_DISH"):
        bake(tmp_path)


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    assert bake(tmp_path, env={"FEDGE_OVEN_RECIPE": "", "FEDGE_OVEN_DISH": "pie"}).recipe is None


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("heat = 20", "key 'heat': expected a whole number, at least 50, found 20"),
        ('heat = "99"', "key 'heat': expected a whole number, at least 50, found '99'"),
        ("heat = 99.0", "key 'heat': expected a whole number, at least 50, found 99.0"),
        ("heat = true", "key 'heat': expected a whole number, at least 50, found True"),
        ("wait_s = nan", "key 'wait_s': expected a number, at least 0, found nan"),
        ("wait_s = inf", "key 'wait_s': expected a number, at least 0, found inf"),
        ("fan = 1", "key 'fan': expected yes or no, found 1"),
        ('mode = "left"', "key 'mode': expected one of top, bottom, found 'left'"),
        ("recipe = 3", "key 'recipe': expected a path, found 3"),
        ("recipe = ''", "key 'recipe': expected a path, found ''"),
        ("recipe = []", r"key 'recipe': expected a path, found \[\]"),
        ("hat = 1", "key 'hat': expected one of dish, heat, wait_s, fan, mode, recipe"),
        ("wait = 1", "key 'wait': expected one of dish"),
        ("heat =", "expected TOML: "),
    ],
)
def test_a_wrong_file_is_refused_by_file_and_key(toml: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"oven\.toml[,:] {sentence}"):
        bake(tmp_path, toml, dish="pie")


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("HEAT", "hot", "expected a whole number, at least 50, found 'hot'"),
        ("HEAT", "49", "expected a whole number, at least 50, found '49'"),
        ("WAIT_S", "-1", "expected a number, at least 0, found '-1'"),
        ("WAIT_S", "nan", "expected a number, at least 0, found 'nan'"),
        ("FAN", "maybe", "expected yes or no, found 'maybe'"),
        ("HAT", "x", "expected one of FEDGE_OVEN_DISH, FEDGE_OVEN_HEAT"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(
    name: str, text: str, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"variable FEDGE_OVEN_{name}: {sentence}"):
        bake(tmp_path, env={f"FEDGE_OVEN_{name}": text}, dish="pie")


def test_a_wrong_flag_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="flag --wait-s: expected a number, at least 0, found 'x'"
    ):
        bake(tmp_path, dish="pie", wait_s="x")


def test_values_given_in_python_are_checked_too() -> None:
    with pytest.raises(ConfigError, match="setting heat: expected a whole number"):
        OvenConfig(dish="pie", heat=3)
    assert OvenConfig(dish="pie", recipe="a").recipe == Path("a")  # type: ignore[arg-type] # on purpose


def test_a_file_that_is_not_there_or_too_large_or_not_text_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: No such file"):
        load(OvenConfig, file=tmp_path / "none.toml", env={}, flags={})
    with pytest.raises(ConfigError, match="Is a directory"):
        load(OvenConfig, file=tmp_path, env={}, flags={})
    (tmp_path / "large.toml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(ConfigError, match="at most 1048576 bytes"):
        load(OvenConfig, file=tmp_path / "large.toml", env={}, flags={})
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="expected TOML"):
        load(OvenConfig, file=tmp_path / "bytes.toml", env={}, flags={})


@given(data=st.binary(max_size=60) | st.from_regex(rb"(heat|wait_s|fan|mode) *=[ -~]{0,20}"))
def test_any_file_loads_or_is_refused(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(data)
    try:
        load(OvenConfig, file=file, env={}, flags={"dish": "pie"})
    except ConfigError as error:
        said = str(error)
        assert said.startswith(str(file))


@pytest.mark.parametrize("cls", [DeviceConfig, AggregatorConfig, BrokerConfig])
def test_help_has_every_flag_with_its_default_and_variable(cls: type[Settings]) -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, cls)
    text = " ".join(parser.format_help().replace("-\n", "-").split())
    for one in settings_of(cls):
        assert f"{one.flag} " in text or f"[{one.flag}" in text
        assert f"FEDGE_{cls.section.upper()}_{one.name.upper()}" in text.replace(" ", "")


@pytest.mark.parametrize("cls", [DeviceConfig, AggregatorConfig, BrokerConfig])
def test_public_names_do_not_collide(cls: type[Settings]) -> None:
    names = [one.name for one in settings_of(cls)]
    assert len(set(names)) == len(names)
    assert not {"config", "json", "help", "command"} & set(names)


def test_a_device_is_named_after_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "pi-3.local (kitchen)" + "x" * 99)
    assert host_id() == "pi-3-local--kitchen-" + "x" * 44
    assert DeviceConfig().id == host_id()
    monkeypatch.setattr("socket.gethostname", lambda: "")
    assert DeviceConfig().id == "device"


def test_the_flags_of_a_device_are_as_documented() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, DeviceConfig)
    words = "--broker mqtt://b --fleet f --job j --id d --data d.npz --client 7 --state-dir s"
    words += " --budget-bytes 700 --upload-time-s 2.5 --threads 2 --connect-timeout-s 5"
    words += " --exit-when-finished --mqtt 3.1.1 --log-level debug"
    assert load_args(DeviceConfig, parser.parse_args(words.split())) == DeviceConfig(
        broker="mqtt://b",
        fleet="f",
        job="j",
        id="d",
        data=Path("d.npz"),
        client="7",
        state_dir=Path("s"),
        budget_bytes=700,
        upload_time_s=2.5,
        threads=2,
        connect_timeout_s=5.0,
        exit_when_finished=True,
        mqtt="3.1.1",
        log_level="debug",
    )


@pytest.mark.parametrize("seconds", [0.0, -1.0, 3601.0, float("nan"), float("inf")])
def test_an_upload_time_that_means_nothing_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match="upload_time"):
        DeviceConfig(upload_time_s=seconds)


def aggregator(**options: Any) -> AggregatorConfig:
    return AggregatorConfig(artifact=Path("a.fedge"), **options)


def test_the_plan_of_an_aggregator_has_its_settings() -> None:
    plan = aggregator(local_steps=5, lr=0.5, momentum=0.9, codec="none", seed=3).plan()
    assert (plan.local_steps, plan.epochs) == (5, None)
    assert (plan.lr, plan.momentum, plan.codec, plan.seed) == (0.5, 0.9, "none", 3)
    assert aggregator().plan().epochs == 1


@pytest.mark.parametrize("value", ["off", "3", "0.5", "of"])
def test_the_norm_bound_is_a_number_or_off_in_every_source(tmp_path: Path, value: str) -> None:
    file = tmp_path / "a.toml"
    is_number = value[0].isdigit()
    file.write_text('artifact = "a.fedge"\nnorm_bound = ' + (value if is_number else f'"{value}"'))
    sources: list[dict[str, Any]] = [
        {"file": file, "env": {}, "flags": {}},
        {"file": None, "env": {"FEDGE_AGGREGATOR_NORM_BOUND": value}, "flags": {"artifact": "a"}},
        {"file": None, "env": {}, "flags": {"artifact": "a", "norm_bound": value}},
    ]
    for source in sources:
        if value in {"off", "3"}:
            found = load(AggregatorConfig, **source).norm_bound
            assert found == (None if value == "off" else 3.0)
        else:
            with pytest.raises(ConfigError, match="a number, at least 1, or off, found"):
                load(AggregatorConfig, **source)
    assert aggregator().norm_bound == 2.0
    assert aggregator(norm_bound="off").norm_bound is aggregator(norm_bound=None).norm_bound is None


@pytest.mark.parametrize(
    "options",
    [
        {"local_steps": 1, "epochs": 1},
        {"lr": 0.0},
        {"momentum": 1.0},
        {"target_accuracy": 1.5},
        {"quorum": 0},
        {"fleet": "a/b"},
        {"deadline_s": 0.0},
        {"parts": 5000},
    ],
)
def test_an_aggregator_that_could_not_work_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        aggregator(**options)


def test_the_settings_of_a_device_load_nothing_of_an_aggregator() -> None:
    program = (
        "import sys, fedge.config.device, fedge.config.settings\n"
        "print([name for name in sys.modules if name.startswith('fedge.') and "
        "('aggregator' in name or 'strateg' in name or 'broker' in name)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"


# What Kubernetes gives to every container of a namespace in which services have these names.
_OF_KUBERNETES = {
    "{}_SERVICE_HOST": "10.0.0.1",
    "{}_SERVICE_PORT": "1883",
    "{}_SERVICE_PORT_MQTT_TLS": "8883",
    "{}_PORT": "tcp://10.0.0.1:1883",
    "{}_PORT_1883_TCP": "tcp://10.0.0.1:1883",
    "{}_PORT_1883_TCP_PROTO": "tcp",
    "{}_PORT_1883_TCP_PORT": "1883",
    "{}_PORT_1883_TCP_ADDR": "10.0.0.1",
    "{}_PORT_53_UDP": "udp://10.0.0.1:53",
}


@pytest.mark.parametrize(
    ("cls", "service"),
    [
        (DeviceConfig, "FEDGE_DEVICE"),
        (DeviceConfig, "FEDGE_DEVICE_METRICS"),
        (AggregatorConfig, "FEDGE_AGGREGATOR"),
        (BrokerConfig, "FEDGE_BROKER"),
    ],
)
def test_the_variables_of_a_kubernetes_service_stop_nobody(
    cls: type[Settings], service: str
) -> None:
    """One of them is named like a setting: FEDGE_BROKER_PORT."""
    env = {name.format(service): text for name, text in _OF_KUBERNETES.items()}
    flags = {"artifact": Path("a.fedge")} if cls is AggregatorConfig else {}
    config = load(cls, file=None, env=env, flags=flags)
    assert config == (cls(artifact=Path("a.fedge")) if flags else cls())  # type: ignore[call-arg]


def test_a_port_of_ours_is_still_read_and_a_wrong_name_still_refused() -> None:
    assert load(BrokerConfig, file=None, env={"FEDGE_BROKER_PORT": "99"}, flags={}).port == 99
    with pytest.raises(ConfigError, match="variable FEDGE_DEVICE_PORT: expected one of"):
        load(DeviceConfig, file=None, env={"FEDGE_DEVICE_PORT": "99"}, flags={})


def test_a_password_may_come_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    for data in (b"a#b/c", b"a#b/c\n", b"a#b/c\r\n"):
        file.write_bytes(data)
        assert broker_url("mqtt://me@pi", file).password == "a#b/c"
    assert broker_url("mqtt://me:x@pi", None).password == "x"


@pytest.mark.parametrize("data", [b"", b"\n", b"one\ntwo\n", b"\xff", b"x" * 65_536])
def test_a_file_that_holds_no_password_is_refused_without_repeating_it(
    tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "password").write_bytes(data)
    with pytest.raises(ConfigError, match=r"password file .*: expected") as caught:
        broker_url("mqtt://me@pi", tmp_path / "password")
    assert "one" not in str(caught.value).replace("one line", "")


def test_a_password_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no-such: No such file"):
        broker_url("mqtt://me@pi", tmp_path / "no-such")
