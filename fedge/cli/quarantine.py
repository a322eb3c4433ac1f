"""`fedge quarantine`: whose updates do not count, and saying so by hand."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fedge.aggregator.clock import Clock
from fedge.aggregator.state.by_hand import Standing, decide_by_hand, leave_to_rule, standings
from fedge.cli.commands import write_json
from fedge.cli.screen import say
from fedge.config.aggregator import AggregatorConfig
from fedge.errors import ConfigError
from fedge.messages.topics import is_name
from fedge.setting import default_of
from fedge.types import DeviceId

_ACTIONS = ("list", "add", "release", "auto")
_MOST_REASON = 200  # characters
_SHOWN = ("device", "state", "by", "since_round", "n_suspect", "n_rounds", "reason")


def configure(parser: argparse.ArgumentParser) -> None:
    """What to do, with which device, in which state directory."""
    parser.add_argument(
        "action",
        choices=_ACTIONS,
        metavar="{list,add,release,auto}",
        help="list: show who is in quarantine and who has been suspect; add: a device's updates no "
        "longer count; release: they count, whatever the rule says; auto: leave it to the rule",
    )
    parser.add_argument("device", nargs="?", metavar="DEVICE", help="for all but list: its id")
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=default_of(AggregatorConfig, "state_dir"),
        metavar="DIR",
        help="the aggregator's folder; it may be running (default: %(default)s)",
    )
    parser.add_argument(
        "--reason", metavar="TEXT", help="why, for whoever looks later; add requires it"
    )
    parser.add_argument(
        "--all", action="store_true", help="list: also devices that were never suspect"
    )
    parser.epilog = (
        "A decision by hand stands until the next one by hand. A running aggregator heeds it from "
        "the next round that it closes. The device is not told: it goes on training and sending."
    )


def run(args: argparse.Namespace) -> int:
    """Do it, and say what came of it."""
    if args.action == "list":
        if args.device is not None:
            raise ConfigError(f"quarantine list takes no device, found {args.device!r}")
        return _list(args)
    device, reason = _device(args), _reason(args)
    if args.action == "auto":
        result = _leave(args.state_dir, device)
    else:
        result = _decide(args.state_dir, device, args.action, reason)
    write_json(args.json, result)
    return 0


def _list(args: argparse.Namespace) -> int:
    found = [_facts(one) for one in standings(args.state_dir)]
    shown = [one for one in found if args.all or one["state"] != "counts" or one["n_suspect"]]
    say(*_table(shown))
    n_out = sum(one["state"] == "quarantine" for one in found)
    say(f"{n_out} of {len(found)} devices in quarantine")
    write_json(args.json, {"state_dir": str(args.state_dir), "devices": found})
    return 0


def _decide(folder: Path, device: DeviceId, action: str, reason: str) -> dict[str, Any]:
    is_known = any(one.device == device for one in standings(folder))
    decision = decide_by_hand(
        folder, device, is_out=action == "add", reason=reason, since=Clock().timestamp()
    )
    says = "no longer count" if decision.is_out else "count, whatever the rule says"
    say(f"{device}: its updates {says}, from the next round that closes")
    if not is_known:
        say(f"{device} has not been in any round of this job that compared devices; is it the id?")
    return {
        "device": device,
        "state": _state(is_out=decision.is_out),
        "since_round": decision.round,
        "reason": reason,
        "is_known": is_known,
    }


def _leave(folder: Path, device: DeviceId) -> dict[str, Any]:
    found = leave_to_rule(folder, device)
    if found is None:
        raise ConfigError(f"nothing was decided about device {device} in {folder}")
    say(f"{device}: left to the rule; before, by {found.by}: {found.reason}")
    return {"device": device, "state": "counts"}


def _device(args: argparse.Namespace) -> DeviceId:
    if args.device is None:
        raise ConfigError(f"quarantine {args.action}: expected the id of a device, found none")
    if not is_name(args.device):
        raise ConfigError(
            f"quarantine {args.action}: expected an id of 1 to 64 of A-Z a-z 0-9 _ -, "
            f"found {args.device!r}"
        )
    return DeviceId(args.device)


def _reason(args: argparse.Namespace) -> str:
    reason: str = (args.reason or "").strip()
    if args.action == "add" and not reason:
        raise ConfigError("quarantine add: expected --reason TEXT, found none")
    if len(reason) > _MOST_REASON:
        raise ConfigError(
            f"quarantine {args.action}: expected a reason of at most {_MOST_REASON} characters, "
            f"found {len(reason)}"
        )
    return reason


def _facts(one: Standing) -> dict[str, Any]:
    decision, score = one.decision, one.score
    return {
        "device": one.device,
        "state": "counts" if decision is None else _state(is_out=decision.is_out),
        "by": decision and decision.by,
        "since_round": decision and decision.round,
        "since": decision and decision.since,
        "reason": decision and decision.reason,
        "n_rounds": 0,
        "n_suspect": 0,
        **one.counts,
        "last": score and {"norm": score.norm, "cosine": score.cosine, "loss": score.loss},
    }


def _state(*, is_out: bool) -> str:
    return "quarantine" if is_out else "exempt"


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    lines = [list(_SHOWN), *([_text(row[name]) for name in _SHOWN] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(map(str.ljust, line, widths)).rstrip()


def _text(value: object) -> str:
    return "-" if value is None or value == "" else str(value)
