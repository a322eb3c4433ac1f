"""What does not belong on a command line."""

from fedge.logs import logger
from fedge.transport.url import BrokerUrl

log = logger(__name__)


def warn_of_password(broker: str | None, instead: str) -> None:
    """Warn if the flag `--broker` holds a password.

    Args:
        broker: what the flag was given.
        instead: where the password belongs.
    """
    if broker is not None and "://" in broker and BrokerUrl.parse(broker).password is not None:
        log.warning(
            "the password in --broker shows up in the list of processes, which every user of this "
            "machine can read: give it in %s",
            instead,
        )
