"""One name, one process: how two that share a name find out, and which of them stops.

The name is a device's id, or the job that an aggregator runs.
"""

from enum import Enum, auto

from fedge.messages.state import AggregatorState, DeviceState, Presence

SETTLED_S = 2.0  # a process connected for this long is at work, and a newcomer has to stop


class Verdict(Enum):
    """What to do about a state that was published under one's own name."""

    IGNORE = auto()
    RENEW = (
        auto()
    )  # publish one's birth again: the retained one is another's, or the other must see it
    CLAIM = auto()  # another process came: tell it that the name is taken
    YIELD = auto()  # another process has the name: stop


def judge(
    state: DeviceState | AggregatorState,
    *,
    is_retained: bool,
    instance: bytes,
    connected_for_s: float,
) -> Verdict:
    """What a process does when it reads a state under its own name.

    A retained state is history and does not prove that anybody is alive. Of two processes
    that come at the same time the smaller instance stays: the larger one shows itself,
    because the other may have taken its birth for history, and is then told to stop.

    Args:
        state: what was read.
        is_retained: whether the broker kept it from before the subscription.
        instance: of the process that reads it.
        connected_for_s: how long that process has been connected.
    """
    if state.instance == instance or is_retained:
        return Verdict.IGNORE
    if state.claim:
        return Verdict.YIELD
    is_alive = state.presence is Presence.ONLINE
    if is_alive and (connected_for_s > SETTLED_S or instance < state.instance):
        return Verdict.CLAIM
    return Verdict.RENEW
