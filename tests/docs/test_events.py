"""docs/events.md is the schema: every event has the fields it names, and no others."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fedge.aggregator.reporting.events import VERSION
from fedge.artifact import Artifact
from fedge.messages import DeviceState, Followed, Presence, Topics
from fedge.rounds import CALM_S
from fedge.types import RoundId
from tests.support.aggregator_by_hand import Bench
from tests.support.evaluations import report_of
from tests.support.scripted import scripted_payload

DOCUMENT = Path(__file__).parents[2] / "docs" / "events.md"

TYPES: dict[str, Callable[[object], bool]] = {
    "text": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in {int, float},
    "boolean": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def schema() -> dict[str, dict[str, str]]:
    """Fields and types by event; those of all events under ""."""
    found: dict[str, dict[str, str]] = {}
    for part in re.split(r"(?m)^## ", DOCUMENT.read_text()):
        heading = re.match(r"`(\w+)`", part)
        fields = dict(re.findall(r"(?m)^\| `(\w+)` \| ([^|]+?) \|", part))
        found[heading[1] if heading else ""] = fields
    return found


def check(event: dict[str, Any]) -> None:
    """Against the document."""
    documented = schema()
    fields = documented[""] | documented[event["event"]]
    for name, described in fields.items():
        kinds, _, rest = described.partition(", ")
        if name in event:
            assert any(TYPES[kind](event[name]) for kind in kinds.split(" or ")), (name, event)
        else:
            assert rest == "optional", (name, event)
    assert event.keys() <= fields.keys()
    assert event["v"] == VERSION
    assert datetime.fromisoformat(event["time"]).utcoffset() is not None
    for one in event.get("missing", []):
        assert one.keys() == {"device", "reason"}


def events_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


@pytest.fixture
def eventful(tmp_path: Path) -> list[dict[str, Any]]:
    """Everything that there is an event for happens."""
    bench = Bench(tmp_path, rounds=2, wait_for=4, quorum=3, deadline_s=30)
    ann, _bob, sick = bench.add("ann", "bob", "sick")
    sick.is_able = False
    bench.settle()
    (mute,) = bench.add("mute")
    mute.send = lambda: None  # type: ignore[method-assign] # it only listens
    bench.settle()
    sick.send_payload(b"rubbish", 1, b"rubbish!")
    mute._transport.kill()  # type: ignore[attr-defined] # its process is gone
    bench.devices.pop("mute")
    bench.settle()
    bench.wait(31)
    run = bench.aggregator._on.run
    ahead = DeviceState(
        presence=Presence.OFFLINE, instance=bytes(8), software="x",
        followed=Followed(run, RoundId(5), 50, is_answered=True),
    )  # fmt: skip
    bench.bus.deliver("eve", Topics("default").device_state("eve"), ahead.to_bytes(), retain=False)
    bench.add("dan")
    for _ in range(6):
        bench.wait(CALM_S)
    assert ann.has_finished()
    return events_of(tmp_path)


def test_every_event_is_as_documented_and_all_of_them_happen(
    eventful: list[dict[str, Any]],
) -> None:
    for event in eventful:
        check(event)
    assert {event["event"] for event in eventful} == schema().keys() - {""}


def test_the_events_of_an_evaluation_are_as_documented(tmp_path: Path) -> None:
    def answer(artifact: Artifact, device: str, round_: int) -> bytes:
        if round_ == 1:
            return scripted_payload(artifact, device, round_)
        return report_of(artifact, round_, 10, 7, 0.5)

    bench = Bench(tmp_path, rounds=1, evaluate_every=1)
    bench.add("ann", payload=answer)
    bench.settle()
    events = events_of(tmp_path)
    for event in events:
        check(event)
    assert [event["devices"]["examples"] for event in (events[-2], events[-1])] == [10, 10]
    (listed,) = re.findall(r"(?ms)^    examples .*?(?=^## )", DOCUMENT.read_text())
    named = set(re.findall(r"\w+", " ".join(re.findall(r"(?m)^    (\w.*?)  ", listed))))
    assert events[-2]["devices"].keys() <= named | {"calibration"}


def test_an_event_of_a_device_names_it_and_the_reason(eventful: list[dict[str, Any]]) -> None:
    by_kind = {event["event"]: event for event in eventful}
    refused = next(
        one for one in eventful if one["event"] == "refused" and one["reason"] == "payload"
    )
    assert (refused["device"], refused["round"]) == ("sick", 1)
    skipped = next(one for one in eventful if one["event"] == "skipped")
    assert (skipped["device"], skipped["round"], skipped["reason"]) == ("sick", 1, "it diverged")
    assert (by_kind["gone"]["device"], by_kind["gone"]["round"]) == ("mute", 1)


def test_a_round_names_each_device_that_is_not_in_it(eventful: list[dict[str, Any]]) -> None:
    for kind in ("below_quorum", "round_given_up"):
        event = next(one for one in eventful if one["event"] == kind)
        mute, sick = event["missing"]
        assert mute == {"device": "mute", "reason": "gone"}
        assert sick["device"] == "sick"
        assert sick["reason"].startswith("refused: payload size: expected")
    (first, *_) = (one for one in eventful if one["event"] == "round")
    assert "sick" in [one["device"] for one in first["missing"]]
