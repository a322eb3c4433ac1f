"""What the aggregator tells people: a line in the log, and for some things an event."""

from collections.abc import Mapping
from typing import Any

from fedge.aggregator.events import Events
from fedge.aggregator.records import UpdateRecord
from fedge.aggregator.throttle import Throttle
from fedge.logs import logger
from fedge.messages import Refused, Skipped
from fedge.messages.topics import shape_of
from fedge.rounds import Round
from fedge.transport import Undelivered
from fedge.types import DeviceId

_log = logger(__name__)

_REPEAT_S = 30.0  # how often a wait that goes on is told again


class Journal:
    """Says nothing twice that has not changed, and of a flood only a part."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._refusals = Throttle(10, 10.0)
        self._leavings = Throttle(20, 10.0)
        self._waits = Throttle(1, _REPEAT_S)
        self._undelivered: set[tuple[str, str]] = set()
        self._waiting: tuple[int, int] | None = None
        self.last_skip = ""  # why the last device could not do its round

    def info(self, text: str) -> None:
        _log.info("%s", text)

    def warning(self, text: str) -> None:
        _log.warning("%s", text)

    def debug(self, text: str) -> None:
        _log.debug("%s", text)

    def opened(self, round_: Round, *, resumed: bool) -> None:
        self._waiting = None
        verb = f"goes on, {len(round_.accepted)} updates in" if resumed else "opened"
        self.info(f"round {round_.id} ({round_.kind}) {verb}, {len(round_.expected)} devices")

    def refused(self, device: DeviceId, refusal: Refused, now_s: float) -> None:
        """One refusal; floods are told in part."""
        n_silent = self._refusals.n_silent
        if not self._refusals.allows(now_s):
            return
        if n_silent and not self._refusals.n_silent:
            self.warning(f"{n_silent} more refusals were not logged")
        self.warning(
            f"refused update of device {device} for round {refusal.round} "
            f"({refusal.reason.value}): {refusal.detail}"
        )

    def accepted(self, update: UpdateRecord) -> None:
        self.debug(
            f"round {update.round}: accepted {len(update.payload)} bytes on {update.n_examples} "
            f"examples from device {update.device}"
        )

    def gone(self, device: DeviceId, now_s: float) -> None:
        """A device that the open round waited for."""
        if self._leavings.allows(now_s):
            self.info(f"device {device} is gone")

    def skipped(self, device: DeviceId, skipped: Skipped, now_s: float) -> None:
        """A device that is there and cannot do the open round."""
        self.last_skip = skipped.why
        if self._refusals.allows(now_s):
            self.warning(f"device {device} skips round {skipped.round}: {skipped.why}")

    def ignored(self, what: str, now_s: float) -> None:
        """Something that is not even an update; floods are told in part."""
        if self._refusals.allows(now_s):
            self.warning(f"ignored {what}")

    def undelivered(self, event: Undelivered) -> None:
        """A refusal by the broker, once for each kind of topic: it comes with every message.

        That nobody subscribes is no news: devices come and go.
        """
        key = (shape_of(event.topic), event.reason)
        if event.is_refusal and key not in self._undelivered:
            self._undelivered.add(key)
            self.warning(f"not delivered to {event.topic}: {event.reason}")

    def closed(self, report: Mapping[str, Any]) -> None:
        self.info(_closed_line(report))
        if "note" in report:
            self.warning(f"round {report['round']}: {report['note']}")
        self._events.write(report)

    def waiting(self, n_online: int, wait_for: int) -> None:
        """No round opens yet; told whenever the number changes."""
        if (n_online, wait_for) != self._waiting:
            self._waiting = (n_online, wait_for)
            self.info(f"waiting for devices: {n_online} of {wait_for} are online")
            self._events.write({"event": "waiting", "online": n_online, "wait_for": wait_for})

    def below_quorum(self, round_: Round, now_s: float) -> None:
        """Time is up and the round cannot close."""
        if self._waits.allows(now_s):
            self.warning(
                f"round {round_.id}: time is up with {len(round_.accepted)} updates, "
                f"{round_.quorum} are needed; waiting on"
            )

    def finished(self, result: Mapping[str, Any]) -> None:
        rounds, sha256 = result["rounds"], result["model_sha256"]
        self.info(f"job finished after {rounds} rounds, model {sha256[:16]}")
        self._events.write({"event": "finished", **result})


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
