"""Settings that a program gives by name."""

from pathlib import Path
from typing import Any

import pytest

import fedge
from fedge.errors import ConfigError
from tests.support.bus import Bus
from tests.support.models import softmax
from tests.support.processes import write_examples


def test_an_aggregator_takes_its_settings_by_name(tmp_path: Path) -> None:
    softmax().save(tmp_path / "model.fedge")
    settings: dict[str, Any] = {
        "artifact": str(tmp_path / "model.fedge"),
        "state_dir": tmp_path / "state",
    }
    with fedge.Aggregator(transport=Bus().transport("a"), job="digits", **settings) as made:
        assert made.report()["job"] == "digits"
    whole = fedge.AggregatorConfig(**settings, job="digits")
    with fedge.Aggregator(whole, transport=Bus().transport("a"), rounds=7) as made:
        assert made.report()["job"] == "digits"


def test_a_device_takes_a_whole_configuration_and_settings_beside_it(tmp_path: Path) -> None:
    data = write_examples(tmp_path / "data.npz")
    config = fedge.DeviceConfig(id="kitchen", state_dir=tmp_path / "state", threads=2)
    with fedge.Device(config, data=data, transport=Bus().transport("d"), threads=3) as made:
        assert (made.config.id, made.config.threads) == ("kitchen", 3)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"brokr": "mqtt://b"},
            "setting brokr: expected one of broker, password_file, fleet",
        ),
        ({"rounds": 0}, "setting rounds: expected a whole number, at least 1, found 0"),
    ],
)
def test_an_aggregators_setting_that_is_none_is_one_sentence(
    settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        fedge.Aggregator(artifact="model.fedge", **settings)
    assert str(caught.value).startswith(sentence)


def test_an_artifact_that_is_not_given_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="setting artifact: expected a path, found none"):
        fedge.Aggregator(broker="mqtt://b")


def test_a_devices_setting_that_is_none_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="setting connect_timeout: expected one of broker"):
        fedge.Device(connect_timeout=3)
