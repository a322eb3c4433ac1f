"""What the aggregator reports: lines in the log and, for some things, an event as well."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fedge.aggregator.reporting.events import Events
from fedge.aggregator.reporting.rate_limit import RateLimit
from fedge.aggregator.rounds.summary import missing
from fedge.aggregator.state.records import UpdateRecord
from fedge.logs import logger
from fedge.messages import Refused, Skipped
from fedge.messages.topics import shape_of
from fedge.rounds import Round
from fedge.transport import Connected, Disconnected, Undelivered
from fedge.transport.trouble import Trouble
from fedge.types import DeviceId, RoundId

_log = logger(__name__)

_MOST_LINES = 10
_REPEAT_S = 30.0  # how often a lasting wait is logged again
_MOST_NAMED = 8  # devices in one line of the log; an event has all of them


class Reporter:
    """Never repeats what has not changed, and logs only part of a flood."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._refusals = RateLimit(10, 10.0)
        self._leavings = RateLimit(20, 10.0)
        self._waits = RateLimit(1, _REPEAT_S)
        self._trouble = Trouble()
        self._undelivered: set[tuple[str, str]] = set()
        self._waiting: tuple[int, int] | None = None
        self._crowded = RateLimit(1, _REPEAT_S)

    def info(self, text: str) -> None:
        _log.info("%s", text)

    def warning(self, text: str) -> None:
        _log.warning("%s", text)

    def debug(self, text: str) -> None:
        _log.debug("%s", text)

    def connected(self, event: Connected) -> None:
        self._trouble.is_over()
        self.info(f"connected to the broker, {event.protocol}")

    def disconnected(self, event: Disconnected, now_s: float) -> None:
        """An attempt that fails for the same reason as the last is logged once a minute."""
        tell = self.warning if self._trouble.is_news(event, now_s) else self.debug
        tell(f"no broker: {event.reason}")

    def opened(self, round_: Round, *, resumed: bool) -> None:
        self._waiting = None
        verb = f"resumed with {round_.n_accepted} updates" if resumed else "opened"
        self.info(f"round {round_.id} ({round_.kind}) {verb}, {len(round_.expected)} devices")
        self._events.write(
            {
                "event": "opened",
                "round": round_.id,
                "kind": round_.kind,
                "resumed": resumed,
                "devices_expected": len(round_.expected),
                "devices_accepted": round_.n_accepted,
                "quorum": round_.quorum,
            }
        )

    def changed(self, round_: Round, changes: str) -> None:
        """The settings differ from those the open round was opened with."""
        self.warning(f"round {round_.id} continues with changed settings: {changes}")

    def put_back(self, number: int, sequence: int) -> None:
        """The state directory is older than what the devices have seen."""
        self.warning(
            f"this state directory was restored to an older state: round {number} (sequence "
            f"{sequence}) had already been given out; the work since then is not in the model "
            "and will be redone under later round numbers"
        )
        self._events.write({"event": "put_back", "round": number, "sequence": sequence})

    def nobody(self, round_: Round, now_s: float) -> None:
        """None of the devices online can do the round; the next attempt waits for the deadline."""
        if self._waits.allows(now_s):
            self.warning(
                f"round {round_.id}: no device can do it; trying again after its "
                f"deadline; {_missing_line(round_)}"
            )

    def gave_up(self, round_: Round, why: str) -> None:
        """A round that could not close has ended without a model."""
        self.warning(f"gave up on round {round_.id}: {why}; {_missing_line(round_)}")
        named = missing(round_)
        self._events.write(
            {"event": "round_given_up", "round": round_.id, "reason": why, "missing": named}
        )

    def crowded(self, most: int, now_s: float) -> None:
        """More devices are online than a round will wait for."""
        if self._crowded.allows(now_s):
            self.warning(
                f"more than {most} devices are online; rounds do not wait for the rest: raise "
                "--max-devices if they are yours"
            )

    def many_late(self, most: int) -> None:
        """More devices were late in a round than can be counted; logged once a round."""
        self.warning(
            f"updates of more than {most} devices came too late; devices_late of this round is "
            f"{most}: raise --max-devices if they are all yours"
        )

    def refused(self, device: DeviceId, refusal: Refused, now_s: float) -> None:
        """One refusal; only part of a flood is logged."""
        n_silent = self._refusals.n_silent
        if not self._refusals.allows(now_s):
            return
        if n_silent and not self._refusals.n_silent:
            self.warning(f"{n_silent} more refusals were not logged")
        self.warning(
            f"refused update of device {device} for round {refusal.round} "
            f"({refusal.reason.value}): {refusal.detail}"
        )
        reason = {"reason": refusal.reason.value, "detail": refusal.detail}
        self._tell("refused", device, refusal.round, **reason)

    def accepted(self, updates: Sequence[UpdateRecord]) -> None:
        """Updates that count and are on disk."""
        if not _log.isEnabledFor(logging.DEBUG):
            return
        for update in updates:
            self.debug(
                f"round {update.round}: accepted {len(update.payload)} bytes on "
                f"{update.n_examples} examples from device {update.device}"
            )

    def gone(self, device: DeviceId, round_: RoundId, now_s: float) -> None:
        """A device that has gone offline while this round is open."""
        if self._leavings.allows(now_s):
            self.info(f"device {device} is gone")
            self._tell("gone", device, round_, reason="it said goodbye, or its connection broke")

    def skipped(self, device: DeviceId, skipped: Skipped, now_s: float) -> None:
        """A device that is online and cannot do the open round."""
        if self._refusals.allows(now_s):
            self.warning(f"device {device} skips round {skipped.round}: {skipped.why}")
            self._tell("skipped", device, skipped.round, reason=skipped.why)

    def ignored(self, what: str, now_s: float) -> None:
        """A message that could not be used; only part of a flood is logged."""
        if self._refusals.allows(now_s):
            self.warning(f"ignored {what}")

    def undelivered(self, event: Undelivered) -> None:
        """A refusal by the broker, once per kind of topic: it is repeated with every message.

        That nobody subscribes is not reported: devices come and go.
        """
        key = (shape_of(event.topic), event.reason)
        if event.is_refusal and key not in self._undelivered:
            self._undelivered.add(key)
            self.warning(f"not delivered to {event.topic}: {event.reason}")

    def closed(self, report: Mapping[str, Any]) -> None:
        self.info(_closed_line(report))
        for text in _evaluation_lines(report["devices"] or {}):
            self.info(f"round {report['round']}: {text}")
        if report["missing"]:
            self.info(f"round {report['round']}: missing {_names(report['missing'])}")
        for text in _bound_lines(report):
            self.warning(f"round {report['round']}: {text}")
        if report["capped"]:
            self.info(f"round {report['round']}: {_capped_line(report)}")
        for text in _quarantine_lines(report):
            self.warning(f"round {report['round']}: {text}")
        if report["quarantined"]:
            self.info(f"round {report['round']}: {_quarantined_line(report)}")
        if "note" in report:
            self.warning(f"round {report['round']}: {report['note']}")
        self._events.write(report)

    def waiting(self, n_online: int, wait_for: int) -> None:
        """No round can open yet; logged whenever the numbers change."""
        if (n_online, wait_for) != self._waiting:
            self._waiting = (n_online, wait_for)
            self.info(f"waiting for devices: {n_online} of {wait_for} are online")
            self._events.write({"event": "waiting", "online": n_online, "wait_for": wait_for})

    def below_quorum(self, round_: Round, now_s: float) -> None:
        """The deadline has passed and the round cannot close."""
        if self._waits.allows(now_s):
            self.warning(
                f"round {round_.id}: deadline reached with {round_.n_accepted} of "
                f"{round_.quorum} updates needed; still waiting; {_missing_line(round_)}"
            )
            self._events.write(
                {
                    "event": "below_quorum",
                    "round": round_.id,
                    "devices_accepted": round_.n_accepted,
                    "quorum": round_.quorum,
                    "missing": missing(round_),
                }
            )

    def finished(self, result: Mapping[str, Any]) -> None:
        rounds, sha256 = result["rounds"], result["model_sha256"]
        self.info(f"job finished after {rounds} rounds, model {sha256[:16]}")
        self._events.write({"event": "finished", **result})

    def _tell(self, event: str, device: DeviceId, round_: RoundId, **why: str) -> None:
        """An event about one device."""
        self._events.write({"event": event, "device": device, "round": round_, **why})


def _missing_line(round_: Round) -> str:
    named = missing(round_)
    return f"missing {_names(named)}" if named else "no other device is online"


def _names(named: Sequence[Mapping[str, str]]) -> str:
    """The first few devices with their reasons, and how many more there are."""
    shown = ", ".join(f"{one['device']} ({one['reason']})" for one in named[:_MOST_NAMED])
    n_more = len(named) - _MOST_NAMED
    return f"{shown} and {n_more} more" if n_more > 0 else shown


def _bound_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Whose update was dropped or scaled down."""
    for one in report["dropped"][:_MOST_LINES]:
        yield f"the update of device {one['device']} was dropped: {one['reason']}"
    n_more = report["devices_dropped"] - _MOST_LINES
    if n_more > 0:
        yield f"{n_more} more updates were dropped"
    if report["clipped"]:
        names = ", ".join(one["device"] for one in report["clipped"][:_MOST_LINES])
        more = ", ..." if report["devices_clipped"] > _MOST_LINES else ""
        bound = report["norm_bound"]
        limit = (
            "what the other devices report"
            if bound is None
            else f"the bound, a norm of {bound:.3g}"
        )
        yield f"{report['devices_clipped']} updates were scaled down to {limit}: {names}{more}"


def _quarantine_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """What has changed: who is in quarantine from now on, and who no longer is."""
    for one in report["quarantine_began"]:
        yield f"device {one['device']} is in quarantine from now on: {one['reason']}"
    if report["quarantine_ended"]:
        yield f"no longer in quarantine: {', '.join(report['quarantine_ended'])}"
    if report["quarantine_withheld"]:
        names = ", ".join(report["quarantine_withheld"][:_MOST_NAMED])
        yield (
            f"suspect, but not put in quarantine, because that would leave too few: {names}; "
            "`fedge quarantine add` does it by hand"
        )


def _quarantined_line(report: Mapping[str, Any]) -> str:
    """Whose update does not count."""
    named = report["quarantined"][:_MOST_NAMED]
    shown = ", ".join(f"{one['device']} (by {one['by']}, round {one['since']})" for one in named)
    n_more = report["devices_quarantined"] - len(named)
    more = f" and {n_more} more" if n_more > 0 else ""
    return f"in quarantine, so not counted: {shown}{more}"


def _capped_line(report: Mapping[str, Any]) -> str:
    """Whose update counts for fewer examples than it claims; honest ones may, round after round."""
    names = ", ".join(one["device"] for one in report["capped"][:_MOST_LINES])
    more = ", ..." if report["devices_capped"] > _MOST_LINES else ""
    return (
        f"{report['devices_capped']} updates claim more examples than the "
        f"{report['examples_bound']} that one may count for: {names}{more}"
    )


def _closed_line(report: Mapping[str, Any]) -> str:
    accuracy, loss = report["accuracy"], report["loss"]
    parts = [
        f"round {report['round']} ({report['kind']}) closed",
        f"{report['devices_accepted']} of {report['devices_expected']} devices",
        *([f"accuracy {accuracy:.2%}"] if accuracy is not None else []),
        *([f"loss {loss:.4g}"] if loss is not None else []),
        f"{report['uplink_bytes']} B up",
        f"{report['downlink_bytes']} B down",
        f"{report['wall_s']:.1f} s",
    ]
    return ", ".join(parts)


def _evaluation_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What devices found of the global model, and of their own."""
    if found:
        yield _devices_line(found)
    if "personal" in found:
        yield f"their own models {_devices_line(found['personal'])}"


def _devices_line(found: Mapping[str, Any]) -> str:
    """What the devices found, together, in the middle and at the worst end."""
    parts = [
        f"{name.replace('_', ' ')} {_shown(name, found[name])}{_spread(name, found)}"
        for name in ("accuracy", "loss", "calibration_error", "rmse", "mae")
        if name in found
    ]
    where = f"on {found['examples']} examples of {found['devices']} devices"
    return f"{where}: {', '.join(parts)}"


def _spread(name: str, found: Mapping[str, Any]) -> str:
    if name not in found["quantiles"]:
        return ""
    middle, worst = found["quantiles"][name][1], found["worst_tenth"][name]
    return f" (median {_shown(name, middle)}, worst tenth {_shown(name, worst)})"


def _shown(name: str, value: float) -> str:
    return f"{value:.2%}" if name in {"accuracy", "calibration_error"} else f"{value:.4g}"
