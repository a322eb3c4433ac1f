"""Whether the broker can be reached, and since when it cannot."""

from fedge.errors import TransportError
from fedge.logs import logger
from fedge.messages.topics import shape_of
from fedge.transport import Connected, Disconnected, Undelivered
from fedge.transport.trouble import Trouble

_log = logger(__name__)


class LinkStatus:
    """The connection as a device sees it; every change is logged once.

    Attempts that keep failing for the same reason are logged once a minute.

    Args:
        broker: its URL for display, without a password.
        timeout_s: how long to keep trying if it was never reached; 0 means for ever.
        now_s: when the first attempt began.

    Attributes:
        is_up: whether the connection is up.
    """

    def __init__(self, broker: str, timeout_s: float, now_s: float) -> None:
        self.is_up = False
        self._broker, self._timeout_s, self._began_at_s = broker, timeout_s, now_s
        self._was_up = False
        self._refused: set[tuple[str, str]] = set()
        self._unheard: set[tuple[str, str]] = set()
        self._reason = "it has not answered yet"
        self._trouble = Trouble()

    def connected(self, event: Connected) -> None:
        self.is_up = self._was_up = True
        self._trouble.is_over()
        self._unheard.clear()
        _log.info("connected to %s, %s", self._broker, event.protocol)

    def disconnected(self, event: Disconnected, now_s: float) -> None:
        self.is_up = False
        self._reason = event.reason
        say = _log.warning if self._trouble.is_news(event, now_s) else _log.debug
        say("waiting for the broker %s: %s", self._broker, event.reason)

    def undelivered(self, event: Undelivered) -> None:
        """Logged once per kind of topic, because it happens on every attempt.

        That nobody subscribes is logged again on a new link: by then somebody might.
        """
        key = (shape_of(event.topic), event.reason)
        logged = self._refused if event.is_refusal else self._unheard
        if key not in logged:
            logged.add(key)
            _log.warning("not delivered to %s: %s", event.topic, event.reason)

    def check(self, now_s: float) -> None:
        """Whether waiting still makes sense.

        Raises:
            TransportError: if the broker was never reached and the time is up.
        """
        waited_s = now_s - self._began_at_s
        if not self._was_up and 0 < self._timeout_s <= waited_s:
            raise TransportError(
                f"the broker {self._broker} was never reached in {waited_s:.0f} s: {self._reason}"
            )
