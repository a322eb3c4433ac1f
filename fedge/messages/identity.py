"""One name, one process: how two that share one find out, and which goes.

The name is a device's id, or the job that an aggregator runs.
"""

from enum import Enum, auto

from fedge.messages.state import AggregatorState, DeviceState, Presence

SETTLED_S = 2.0  # connected for so long, a process is at work and a newcomer has to go


class Verdict(Enum):
    """What to do about a state that was published under the own name."""

    IGNORE = auto()
    RENEW = auto()  # publish the own birth again: the retained state is another's, or it must know
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

    A retained state is history and proves nobody alive. Of two processes that come
    at once the smaller instance stays: the larger one shows itself, because the
    other may have read its birth as history, and is then told to go.

    Args:
        state: what was read.
        is_retained: whether the broker kept it from before the subscription.
        instance: of the process that reads.
        connected_for_s: since its connection was made.
    """
    if state.instance == instance or is_retained:
        return Verdict.IGNORE
    if state.claim:
        return Verdict.YIELD
    is_alive = state.presence is Presence.ONLINE
    if is_alive and (connected_for_s > SETTLED_S or instance < state.instance):
        return Verdict.CLAIM
    return Verdict.RENEW
